/* What the test programs share: checks that end the program, a source of bytes, packets. */
#ifndef COMMON_H
#define COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ravelin.h"

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

#define STATUS(expected, call)                                                                              \
    do {                                                                                                    \
        RvlStatus got = (call);                                                                             \
        if (got != (expected)) {                                                                            \
            fprintf(stderr, "%s:%d: %s: %d %s\n", __FILE__, __LINE__, #call, (int)got, rvl_status_text(got)); \
            exit(1);                                                                                        \
        }                                                                                                   \
    } while (0)

#define OK(call) STATUS(RVL_STATUS_OK, call)

#define SECOND 1000000000ull

/* Good enough for a test: xorshift over a state that the context points to. */
static int32_t test_random(void *context, uint8_t *out, size_t len)
{
    uint64_t *state = context;
    for (size_t i = 0; i < len; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        out[i] = (uint8_t)(*state >> 32);
    }
    return 0;
}

static RvlHandle engine_new(uint64_t *seed)
{
    RvlEngineConfig config = {.no_match = RVL_NO_MATCH_DISCARD, .random = test_random, .random_context = seed};
    RvlHandle engine = 0;
    OK(rvl_engine_new(&config, &engine));
    CHECK(engine != 0);
    return engine;
}

static uint16_t sum_of(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Writes an IPv4 UDP packet from 10.0.A.1 to 10.0.B.1 with `payload` bytes behind its headers; returns its length. */
static size_t udp_packet(uint8_t *out, uint8_t a, uint8_t b, uint16_t port, size_t payload)
{
    size_t len = 28 + payload;
    memset(out, 0, 28);
    out[0] = 0x45;
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    out[8] = 64;
    out[9] = 17;
    out[12] = out[16] = 10;
    out[14] = a;
    out[18] = b;
    out[15] = out[19] = 1;
    uint16_t sum = sum_of(out, 20);
    out[10] = (uint8_t)(sum >> 8);
    out[11] = (uint8_t)sum;
    out[20] = 1;
    out[22] = (uint8_t)(port >> 8);
    out[23] = (uint8_t)port;
    out[24] = (uint8_t)((8 + payload) >> 8);
    out[25] = (uint8_t)(8 + payload);
    for (size_t i = 0; i < payload; i++)
        out[28 + i] = (uint8_t)i;
    return len;
}

/* The packet in a buffer with room at both ends. */
static RvlPacket placed(uint8_t *buffer, size_t capacity, const uint8_t *packet, size_t len)
{
    CHECK(RVL_HEADROOM + len + RVL_TAILROOM <= capacity);
    memcpy(buffer + RVL_HEADROOM, packet, len);
    return (RvlPacket){.buffer = buffer, .capacity = capacity, .offset = RVL_HEADROOM, .length = len};
}

#endif
