/* Frames over a line that may lose, change or make up bytes. All numbers are little endian.

   | bytes | what                                                            |
   |-------|-----------------------------------------------------------------|
   | 2     | 'T' 'F'                                                         |
   | 1     | kind                                                            |
   | 1     | number: an answer has that of its question                      |
   | 4     | length of the payload                                           |
   | 2     | check: the low half of the CRC-32 of the 8 bytes before it      |
   | n     | payload                                                         |
   | 4     | CRC-32 of the first 8 bytes and the payload                     |

   CRC-32 is that of Ethernet and zlib. The check of the head tells a frame from garbage before its length is believed. */
#ifndef TFM_FRAME_H
#define TFM_FRAME_H
#include <stdint.h>

#define TFM_HEAD_BYTES 10

typedef enum {
    TFM_FRAME_OK = 0,
    TFM_FRAME_CRC = 1,     /* its CRC is wrong */
    TFM_FRAME_LENGTH = 2,  /* its payload is longer than there is room, or not as long as its kind wants */
    TFM_FRAME_KIND = 3,    /* nobody knows its kind */
    TFM_FRAME_SILENCE = 4  /* it stopped in the middle */
} tfm_frame_status;

typedef struct {
    uint8_t kind;
    uint8_t number;
    uint32_t length; /* bytes of the payload */
} tfm_frame;

/* How long to wait within a frame, in cycles of `tfm_board_cycles`. */
void tfm_frame_patience(uint32_t cycles);

/* Wait for a frame and put its payload into `payload`, which has `room` bytes. Whatever is no frame is passed over. */
tfm_frame_status tfm_frame_receive(tfm_frame *frame, uint8_t *payload, uint32_t room);

/* Send a frame: its head, its payload in any number of pieces, its end. */
void tfm_frame_begin(tfm_frame frame);
void tfm_frame_put(const void *bytes, uint32_t n);
void tfm_frame_put_word(uint32_t word);
void tfm_frame_end(void);
#endif
