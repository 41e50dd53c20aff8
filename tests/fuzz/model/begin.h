/* SPDX-License-Identifier: MIT */
/* No include guard. What stands between this and end.h is not what is tested: it neither counts as covered nor costs as much. A copy
 * to or from another's memory is looked at all the same, by the sanitizer's memcpy(). */
#if defined(__clang__) && !defined(FUZZ_REPLAY)
#pragma clang attribute push(__attribute__((no_sanitize("coverage", "address", "undefined"))),     \
			     apply_to = function)
#endif
