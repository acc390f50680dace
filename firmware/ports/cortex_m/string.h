/* The two libc functions that firmware may use. They live in memory.c; compilers inline most calls.
   This header serves bare-metal compilers that come without a C library. */
#ifndef TFM_STRING_H
#define TFM_STRING_H
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);
#endif
