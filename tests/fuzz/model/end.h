/* SPDX-License-Identifier: MIT */
#if defined(__clang__) && !defined(FUZZ_REPLAY)
#pragma clang attribute pop
#endif
