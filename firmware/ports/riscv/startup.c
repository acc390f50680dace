/* Reset code of every RISC-V port: interrupts stay off, nothing else is set up. */
#include <stdint.h>

extern uint32_t _data_load[], _data_start[], _data_end[], _bss_start[], _bss_end[];

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void tfm_start(void);

/* The first instructions: there is no stack yet. */
__attribute__((section(".vectors"), naked, used)) void Reset_Handler(void) {
    __asm__ volatile("la sp, _stack_top\n"
                     "j tfm_start\n");
}

/* Initial values of variables lie in flash; all other variables start as zero. */
void tfm_start(void) {
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
