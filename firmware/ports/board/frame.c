/* Frames in and out, byte by byte: no buffer but that of the payload. */
#include "frame.h"

#include "board.h"

static uint32_t patience = 1u; /* cycles to wait for a byte, within a frame */
static uint32_t crc;           /* of the frame that is being sent */
static int reached;            /* 0 once the line has not taken a byte of it in time */

void tfm_frame_patience(uint32_t cycles) { patience = cycles; }

/* CRC-32 with one byte more; it begins as all ones and is inverted at the end. */
static uint32_t with(uint32_t sum, uint8_t byte) {
    sum ^= byte;
    for (int i = 0; i < 8; i++) sum = (sum >> 1) ^ (0xEDB88320u & (0u - (sum & 1u)));
    return sum;
}

/* Of the first 8 bytes of a head. */
static uint32_t sum_of(const uint8_t *head) {
    uint32_t sum = 0xFFFFFFFFu;
    for (int i = 0; i < 8; i++) sum = with(sum, head[i]);
    return sum;
}

/* The next byte, or -1 when none comes in time. */
static int next(void) {
    const uint32_t start = tfm_board_cycles();
    for (;;) {
        const int byte = tfm_board_in();
        if (byte >= 0) return byte;
        if (tfm_board_cycles() - start > patience) return -1;
    }
}

static uint32_t word_at(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Whether the last 10 bytes are the head of a frame. */
static int is_head(const uint8_t *head) {
    if (head[0] != 'T' || head[1] != 'F') return 0;
    const uint32_t check = ~sum_of(head);
    return head[8] == (uint8_t)check && head[9] == (uint8_t)(check >> 8);
}

/* Every byte may be the last of a head, so none that belongs to one is lost behind garbage. */
static void find_head(uint8_t *head) {
    do {
        int byte;
        do byte = next();
        while (byte < 0);
        for (int i = 1; i < TFM_HEAD_BYTES; i++) {
            head[i - 1] = head[i];
            __asm__ volatile(""); /* or a compiler makes a call of memmove of this loop, and there is none */
        }
        head[TFM_HEAD_BYTES - 1] = (uint8_t)byte;
    } while (!is_head(head));
}

tfm_frame_status tfm_frame_receive(tfm_frame *frame, uint8_t *payload, uint32_t room) {
    uint8_t head[TFM_HEAD_BYTES] = {0}, end[4];
    find_head(head);
    frame->kind = head[2];
    frame->number = head[3];
    frame->length = word_at(head + 4);
    if (frame->length > room) return TFM_FRAME_LENGTH;

    uint32_t sum = sum_of(head);
    for (uint32_t i = 0; i < frame->length; i++) {
        const int byte = next();
        if (byte < 0) return TFM_FRAME_SILENCE;
        payload[i] = (uint8_t)byte;
        sum = with(sum, payload[i]);
    }
    for (int i = 0; i < 4; i++) {
        const int byte = next();
        if (byte < 0) return TFM_FRAME_SILENCE;
        end[i] = (uint8_t)byte;
    }
    return word_at(end) == ~sum ? TFM_FRAME_OK : TFM_FRAME_CRC;
}

/* The byte goes out, or the rest of the frame is given up: nobody is there to take it. */
static void send(uint8_t byte) {
    const uint32_t start = tfm_board_cycles();
    while (reached && !tfm_board_out(byte)) reached = tfm_board_cycles() - start <= patience;
}

void tfm_frame_put(const void *bytes, uint32_t n) {
    const uint8_t *p = bytes;
    for (uint32_t i = 0; i < n; i++) {
        crc = with(crc, p[i]);
        send(p[i]);
    }
}

void tfm_frame_put_word(uint32_t word) {
    const uint8_t bytes[4] = {(uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16), (uint8_t)(word >> 24)};
    tfm_frame_put(bytes, sizeof bytes);
}

void tfm_frame_begin(tfm_frame frame) {
    const uint8_t head[4] = {'T', 'F', frame.kind, frame.number};
    crc = 0xFFFFFFFFu;
    reached = 1;
    tfm_frame_put(head, sizeof head);
    tfm_frame_put_word(frame.length);
    const uint32_t check = ~crc;
    send((uint8_t)check);
    send((uint8_t)(check >> 8));
}

void tfm_frame_end(void) {
    const uint32_t sum = ~crc; /* sending the word changes crc */
    tfm_frame_put_word(sum);
}
