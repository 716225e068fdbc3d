// SPDX-License-Identifier: PostgreSQL
