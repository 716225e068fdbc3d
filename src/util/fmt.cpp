// SPDX-License-Identifier: PostgreSQL
// What the headers of {fmt} 9 leave to its library, as Debian ships none that can be linked in: the
// shared one brings a second C++ library along, and loading both took as long as all else that the
// program does when it starts.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

template std::locale locale_ref::get<std::locale>() const;
template thousands_sep_result<char> thousands_sep_impl<char>(locale_ref);
template char decimal_point_impl<char>(locale_ref);
template dragonbox::decimal_fp<float> dragonbox::to_decimal(float) noexcept;
template dragonbox::decimal_fp<double> dragonbox::to_decimal(double) noexcept;

} // namespace detail
FMT_END_NAMESPACE
