/* STM32F746G-DISCO: 216 MHz, caches on, serial line over the ST-Link's USB. Not tried on a board.

   Registers and bits by their names in ST's RM0385 (the core's own in Arm's Armv7-M manual and ST's PM0253). This is the
   state that the model of the memories in `tinyformer.memory_system` assumes.

   | what                    | register      | bits                                   | value                                   |
   |-------------------------|---------------|----------------------------------------|-----------------------------------------|
   | power interface         | RCC_APB1ENR   | PWREN                                  | 1                                       |
   | voltage scale 1         | PWR_CR1       | VOS                                    | 11                                      |
   | over-drive              | PWR_CR1       | ODEN, then ODSWEN                      | 1, when PWR_CSR1 says ODRDY, ODSWRDY    |
   | PLL: 16 MHz / 8 * 216   | RCC_PLLCFGR   | PLLSRC, PLLM, PLLN, PLLP, PLLQ         | HSI, 8, 216, 00 (by 2), 9 (48 MHz)      |
   | 7 wait states           | FLASH_ACR     | LATENCY                                | 0111 (2.7 to 3.6 V, up to 216 MHz)      |
   | ART, prefetch           | FLASH_ACR     | ARTRST, ARTEN, PRFTEN                  | 1 then 0, 1, 1                          |
   | buses                   | RCC_CFGR      | HPRE, PPRE1, PPRE2                     | by 1, by 4 (54 MHz), by 2 (108 MHz)     |
   | core on the PLL         | RCC_CFGR      | SW                                     | 10, when RCC_CR says PLLRDY             |
   | flash                   | MPU region 0  | AP, TEX C B                            | read only; write-through                |
   | DTCM                    | MPU region 1  | AP, TEX C B, XN                        | read and write, never code              |
   | SRAM1, SRAM2            | MPU region 2  | AP, TEX C B, XN, SRD                   | write-back, allocated by reads, writes  |
   | peripherals             | MPU region 3  | AP, TEX C B, XN                        | device                                  |
   | anything else           | MPU_CTRL      | ENABLE, PRIVDEFENA                     | 1, 0: an access is a fault              |
   | caches                  | CCR           | IC, DC                                 | 1, 1, both emptied before               |
   | USART1: TX PA9, RX PB7  | GPIOx_MODER   | MODER9, MODER7                         | 10, with AFRH9 and AFRL7 = 7            |
   | 115,200 baud, 8N1       | USART_BRR     | BRR                                    | PPRE2's clock / baud                    |
   | cycle counter           | DWT_CTRL      | CYCCNTENA                              | 1                                       |

   ART and prefetch serve the flash on its ITCM addresses (0x00200000). Images here are linked to its AXI addresses
   (0x08000000), which the core's own caches serve, so both change nothing for them.
   The PLL takes the HSI, so that any board with this chip starts, with a crystal or without: cycles are exact, the clock is
   within 1 %. Every wait has an end. Where one ends the core stays on the HSI at 16 MHz, without wait states, and `trouble`
   tells the host. */
#include "board.h"

#include "counter.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define RCC_CR REG(0x40023800u)
#define RCC_PLLCFGR REG(0x40023804u)
#define RCC_CFGR REG(0x40023808u)
#define RCC_AHB1ENR REG(0x40023830u)
#define RCC_APB1ENR REG(0x40023840u)
#define RCC_APB2ENR REG(0x40023844u)
#define PWR_CR1 REG(0x40007000u)
#define PWR_CSR1 REG(0x40007004u)
#define FLASH_ACR REG(0x40023C00u)
#define GPIOA_MODER REG(0x40020000u)
#define GPIOA_AFRH REG(0x40020024u)
#define GPIOB_MODER REG(0x40020400u)
#define GPIOB_PUPDR REG(0x4002040Cu)
#define GPIOB_AFRL REG(0x40020420u)
#define USART1_CR1 REG(0x40011000u)
#define USART1_BRR REG(0x4001100Cu)
#define USART1_ISR REG(0x4001101Cu)
#define USART1_ICR REG(0x40011020u)
#define USART1_RDR REG(0x40011024u)
#define USART1_TDR REG(0x40011028u)
#define CCR REG(0xE000ED14u)
#define CCSIDR REG(0xE000ED80u)
#define CSSELR REG(0xE000ED84u)
#define MPU_CTRL REG(0xE000ED94u)
#define MPU_RNR REG(0xE000ED98u)
#define MPU_RBAR REG(0xE000ED9Cu)
#define MPU_RASR REG(0xE000EDA0u)
#define ICIALLU REG(0xE000EF50u)
#define DCISW REG(0xE000EF60u)

#define PLLON (1u << 24)
#define PLLRDY (1u << 25)
#define PLL_FIELDS 0x0F437FFFu               /* PLLQ, PLLSRC, PLLP, PLLN, PLLM: the other bits keep their reset value */
#define PLL_216_MHZ (9u << 24 | 216u << 6 | 8u)
#define PWREN (1u << 28)
#define VOS_SCALE_1 (3u << 14)
#define ODEN (1u << 16)                      /* and ODRDY */
#define ODSWEN (1u << 17)                    /* and ODSWRDY */
#define LATENCY 0xFu
#define PRFTEN (1u << 8)
#define ARTEN (1u << 9)
#define ARTRST (1u << 11)
#define BUS_FIELDS 0xFCF0u                   /* PPRE2, PPRE1, HPRE */
#define BUSES (4u << 13 | 5u << 10)
#define SW_PLL 2u
#define SW 3u
#define IC (1u << 17)
#define DC (1u << 16)
#define RXNE (1u << 5)
#define TXE (1u << 7)
#define ERRORS 0xFu                          /* overrun, noise, framing, parity: same bits in ISR and ICR */

#define FAST_HZ 216000000u
#define SLOW_HZ 16000000u
#ifndef TFM_BAUD
#define TFM_BAUD 115200u
#endif
#define TRIES 20000u                         /* reads of a register: more than 5 ms; RM0385 needs less than one */

static void barrier(void) { __asm__ volatile("dsb\n isb" ::: "memory"); }

/* Whether these bits become `want` before the tries are over. */
static int becomes(const volatile uint32_t *reg, uint32_t bits, uint32_t want) {
    for (uint32_t i = 0; i < TRIES; i++)
        if ((*reg & bits) == want) return 1;
    return 0;
}

/* ---- memories ---- */

#define REGION(size_log2) (((size_log2) - 1u) << 1 | 1u)
#define READ_WRITE (3u << 24)
#define READ_ONLY (6u << 24)
#define NO_CODE (1u << 28)
#define WRITE_THROUGH (2u << 16)             /* TEX C B = 000 1 0 */
#define WRITE_BACK (1u << 19 | 3u << 16)     /* 001 1 1: reads and writes allocate */
#define UNCACHED (1u << 19)                  /* 001 0 0; a TCM has no cache before it anyway */
#define DEVICE (1u << 16)                    /* 000 0 1 */
#define WITHOUT(subregions) ((subregions) << 8)

static const struct { uint32_t base, attributes; } regions[8] = {
    {0x08000000u, READ_ONLY | WRITE_THROUGH | REGION(20u)},
    {0x20000000u, READ_WRITE | UNCACHED | NO_CODE | REGION(16u)},
    /* 512 KB from where DTCM begins, in eighths: the second to the fifth are SRAM1 and SRAM2 */
    {0x20000000u, READ_WRITE | WRITE_BACK | NO_CODE | WITHOUT(0xE1u) | REGION(19u)},
    {0x40000000u, READ_WRITE | DEVICE | NO_CODE | REGION(29u)},
};

static void protect(void) {
    MPU_CTRL = 0u;
    for (uint32_t i = 0; i < 8u; i++) { /* the last four are off */
        MPU_RNR = i;
        MPU_RBAR = regions[i].base;
        MPU_RASR = regions[i].attributes;
    }
    barrier();
    MPU_CTRL = 1u;
    barrier();
}

static void cache(void) {
    ICIALLU = 0u;
    CSSELR = 0u; /* data, level 1 */
    barrier();
    const uint32_t shape = CCSIDR, sets = (shape >> 13 & 0x7FFFu) + 1u, ways = (shape >> 3 & 0x3FFu) + 1u;
    for (uint32_t set = 0; set < sets; set++)
        for (uint32_t way = 0; way < ways; way++) DCISW = way << 30 | set << 5; /* four ways, lines of 32 bytes */
    barrier();
    CCR |= IC | DC;
    barrier();
}

/* ---- clock ---- */

/* The state after reset, but for the power interface. */
static void slow(void) {
    RCC_CFGR &= ~SW;
    (void)becomes(&RCC_CFGR, SW << 2, 0u);
    RCC_CR &= ~PLLON;
    RCC_CFGR &= ~BUS_FIELDS;
    PWR_CR1 &= ~ODSWEN;
    PWR_CR1 &= ~ODEN;
    FLASH_ACR &= ~(LATENCY | PRFTEN | ARTEN);
}

/* The order is that of RM0385, "Entering Over-drive mode". */
static tfm_trouble fast(void) {
    RCC_APB1ENR |= PWREN;
    (void)RCC_APB1ENR; /* the clock needs two cycles */
    PWR_CR1 |= VOS_SCALE_1;
    RCC_PLLCFGR = (RCC_PLLCFGR & ~PLL_FIELDS) | PLL_216_MHZ;
    RCC_CR |= PLLON;
    PWR_CR1 |= ODEN;
    if (!becomes(&PWR_CSR1, ODEN, ODEN)) return TFM_NO_OVERDRIVE;
    PWR_CR1 |= ODSWEN;
    if (!becomes(&PWR_CSR1, ODSWEN, ODSWEN)) return TFM_NO_OVERDRIVE;
    FLASH_ACR |= ARTRST;
    FLASH_ACR &= ~ARTRST;
    FLASH_ACR = (FLASH_ACR & ~LATENCY) | 7u | PRFTEN | ARTEN;
    if (!becomes(&FLASH_ACR, LATENCY, 7u)) return TFM_NO_FLASH;
    RCC_CFGR = (RCC_CFGR & ~BUS_FIELDS) | BUSES;
    if (!becomes(&RCC_CR, PLLRDY, PLLRDY)) return TFM_NO_PLL;
    RCC_CFGR = (RCC_CFGR & ~SW) | SW_PLL;
    if (!becomes(&RCC_CFGR, SW << 2, SW_PLL << 2)) return TFM_NO_SWITCH;
    return TFM_READY;
}

/* ---- serial line ---- */

static void serial(uint32_t bus_hz) {
    RCC_AHB1ENR |= 3u;       /* GPIOAEN, GPIOBEN */
    RCC_APB2ENR |= 1u << 4;  /* USART1EN */
    (void)RCC_APB2ENR;
    GPIOA_AFRH = (GPIOA_AFRH & ~(0xFu << 4)) | 7u << 4;
    GPIOA_MODER = (GPIOA_MODER & ~(3u << 18)) | 2u << 18;
    GPIOB_AFRL = (GPIOB_AFRL & ~(0xFu << 28)) | 7u << 28;
    GPIOB_PUPDR = (GPIOB_PUPDR & ~(3u << 14)) | 1u << 14; /* high while nobody is connected */
    GPIOB_MODER = (GPIOB_MODER & ~(3u << 14)) | 2u << 14;
    USART1_BRR = (bus_hz + TFM_BAUD / 2u) / TFM_BAUD;
    USART1_CR1 = 0xDu; /* UE, RE, TE */
}

uint32_t tfm_board_start(tfm_trouble *trouble) {
    protect();
    cache();
    *trouble = fast();
    if (*trouble != TFM_READY) slow();
    serial(*trouble == TFM_READY ? FAST_HZ / 2u : SLOW_HZ);
    tfm_counter_start();
    return *trouble == TFM_READY ? FAST_HZ : SLOW_HZ;
}

int tfm_board_in(void) {
    const uint32_t state = USART1_ISR;
    if ((state & ERRORS) != 0u) USART1_ICR = ERRORS; /* the CRC will tell what was lost */
    return (state & RXNE) != 0u ? (int)(USART1_RDR & 0xFFu) : -1;
}

int tfm_board_out(uint8_t byte) {
    if ((USART1_ISR & TXE) == 0u) return 0;
    USART1_TDR = byte;
    return 1;
}

uint32_t tfm_board_cycles(void) { return tfm_counter(); }
