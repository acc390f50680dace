/* Vector table and reset code of every Cortex-M port: interrupts stay off, nothing else is set up. */
#include <stdint.h>

extern uint32_t _stack_top[], _data_load[], _data_start[], _data_end[], _bss_start[], _bss_end[];

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) const vector tfm_vectors[16] = {
    [0] = {.stack = _stack_top},
    [1] = {.handler = Reset_Handler},
    [2] = {.handler = Fault_Handler},  /* NMI */
    [3] = {.handler = Fault_Handler},  /* hard fault */
    [4] = {.handler = Fault_Handler},  /* memory management */
    [5] = {.handler = Fault_Handler},  /* bus fault */
    [6] = {.handler = Fault_Handler},  /* usage fault */
    [11] = {.handler = Fault_Handler}, /* SVC */
    [12] = {.handler = Fault_Handler}, /* debug monitor */
    [14] = {.handler = Fault_Handler}, /* PendSV */
    [15] = {.handler = Fault_Handler}, /* SysTick */
};

/* Initial values of variables lie in flash; all other variables start as zero. */
void Reset_Handler(void) {
    const uint32_t *from = _data_load;
    for (uint32_t *to = _data_start; to < _data_end; to++) *to = *from++;
    for (uint32_t *to = _bss_start; to < _bss_end; to++) *to = 0u;
    (void)main();
    Fault_Handler();
}

/* Stop here, where a debugger finds us. */
void Fault_Handler(void) {
    for (;;) __asm__ volatile("");
}
