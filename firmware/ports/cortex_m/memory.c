/* memcpy and memset for images that link no C library.
   Words while both pointers are aligned, bytes for the rest. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A compiler may recognise a copying loop and replace it by a call of memcpy: here that would never end.
   The empty asm is a barrier which it must keep inside the loop. */
#define KEEP_LOOP() __asm__ volatile("")

typedef uint32_t __attribute__((may_alias)) word;

static __attribute__((noinline)) void copy(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if ((((uintptr_t)t | (uintptr_t)f) & 3u) == 0u)
        for (; n >= 4u; n -= 4u, t += 4, f += 4) { *(word *)(void *)t = *(const word *)(const void *)f; KEEP_LOOP(); }
    for (; n > 0u; n--) { *t++ = *f++; KEEP_LOOP(); }
}

static __attribute__((noinline)) void fill(void *to, int value, size_t n) {
    unsigned char *t = to;
    const unsigned char byte = (unsigned char)value;
    const word four = byte * 0x01010101u;
    for (; n > 0u && ((uintptr_t)t & 3u) != 0u; n--) { *t++ = byte; KEEP_LOOP(); }
    for (; n >= 4u; n -= 4u, t += 4) { *(word *)(void *)t = four; KEEP_LOOP(); }
    for (; n > 0u; n--) { *t++ = byte; KEEP_LOOP(); }
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) { copy(to, from, n); return to; }
void *memset(void *to, int value, size_t n) { fill(to, value, n); return to; }

/* The names under which Arm's run-time ABI asks for the same work. They do not call memcpy and memset: a compiler would
   turn that call into a call of themselves. Note the order of __aeabi_memset's arguments. */
void __aeabi_memcpy(void *to, const void *from, size_t n);
void __aeabi_memcpy4(void *to, const void *from, size_t n);
void __aeabi_memcpy8(void *to, const void *from, size_t n);
void __aeabi_memset(void *to, size_t n, int value);
void __aeabi_memset4(void *to, size_t n, int value);
void __aeabi_memset8(void *to, size_t n, int value);
void __aeabi_memclr(void *to, size_t n);
void __aeabi_memclr4(void *to, size_t n);
void __aeabi_memclr8(void *to, size_t n);

void __aeabi_memcpy(void *to, const void *from, size_t n) { copy(to, from, n); }
void __aeabi_memcpy4(void *to, const void *from, size_t n) { copy(to, from, n); }
void __aeabi_memcpy8(void *to, const void *from, size_t n) { copy(to, from, n); }
void __aeabi_memset(void *to, size_t n, int value) { fill(to, value, n); }
void __aeabi_memset4(void *to, size_t n, int value) { fill(to, value, n); }
void __aeabi_memset8(void *to, size_t n, int value) { fill(to, value, n); }
void __aeabi_memclr(void *to, size_t n) { fill(to, 0, n); }
void __aeabi_memclr4(void *to, size_t n) { fill(to, 0, n); }
void __aeabi_memclr8(void *to, size_t n) { fill(to, 0, n); }
