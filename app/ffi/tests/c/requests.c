/* Packets in pieces of one to nine bytes, submitted and completed. */
#include "common.h"

static const uint8_t KEY[36] = {4, 5, 6};
enum { PACKETS = 24, OPEN = 8 };

static uint8_t clear[PACKETS][512], room[PACKETS][1024];
static RvlPiece pieces[PACKETS][512];

static size_t cut(RvlPiece *out, const uint8_t *bytes, size_t len)
{
    size_t count = 0;
    for (size_t at = 0; at < len; count++) {
        size_t size = 1 + count % 9;
        size = size < len - at ? size : len - at;
        out[count] = (RvlPiece){.data = bytes + at, .length = size};
        at += size;
    }
    return count;
}

static void crossing(void)
{
    uint64_t seed = 3;
    RvlEngineConfig config = {.no_match = RVL_NO_MATCH_DISCARD, .random = test_random, .random_context = &seed,
                              .max_requests = OPEN};
    RvlHandle engine;
    OK(rvl_engine_new(&config, &engine));
    RvlPolicy policy = {.id = 1, .domain = 7, .action = RVL_PROTECT, .source = "any", .destination = "any",
                        .endpoint = "192.0.2.2", .replay_window = 64};
    OK(rvl_add_policy(engine, &policy));
    for (uint32_t direction = RVL_OUTBOUND; direction <= RVL_INBOUND; direction++) {
        RvlSa sa = {.direction = direction, .spi = 0x1000, .policy = 1, .from = "192.0.2.1", .to = "192.0.2.2",
                    .encryption = "AES256-GCM", .encryption_key = KEY, .encryption_key_len = sizeof KEY,
                    .replay_window = 64};
        OK(rvl_add_sa(engine, &sa, 0));
    }
    int submitted = 0, completed = 0;
    while (completed < PACKETS) {
        for (;;) {
            if (submitted == PACKETS)
                break;
            size_t len = udp_packet(clear[submitted], 1, 2, 9, (size_t)submitted * 10);
            RvlRequest request = {.direction = RVL_OUTBOUND, .domain = 7, .token = (uint64_t)submitted,
                                  .pieces = pieces[submitted], .result = room[submitted],
                                  .result_capacity = sizeof room[submitted]};
            request.piece_count = cut(pieces[submitted], clear[submitted], len);
            RvlStatus status = rvl_submit(engine, &request, 0);
            if (status == RVL_STATUS_OUT_OF_REQS)
                break;
            CHECK(status == RVL_STATUS_OK);
            submitted++;
        }
        RvlCompletion done;
        OK(rvl_complete(engine, 0, &done));
        CHECK(done.applied.verdict == RVL_VERDICT_SECURE_TUNNEL && done.domain == 7);
        CHECK(done.pieces == pieces[done.token] && done.result == room[done.token]);
        RvlPacket packet = {.buffer = done.result, .capacity = sizeof room[0], .offset = done.offset,
                            .length = done.length};
        RvlResult result;
        OK(rvl_decapsulate(engine, &packet, 0, &result));
        CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL && packet.domain == 7);
        CHECK(memcmp(packet.buffer + packet.offset, clear[done.token], packet.length) == 0);
        completed++;
    }
    RvlCompletion none;
    STATUS(RVL_STATUS_EMPTY, rvl_complete(engine, 0, &none));
    OK(rvl_engine_free(engine));
}

static void hostile(void)
{
    uint64_t seed = 4;
    RvlEngineConfig config = {.random = test_random, .random_context = &seed, .max_requests = 4};
    RvlHandle engine;
    OK(rvl_engine_new(&config, &engine));
    RvlPiece piece = {.data = clear[0], .length = 20};
    const RvlRequest good = {.pieces = &piece, .piece_count = 1, .result = room[0], .result_capacity = sizeof room[0]};
    RvlCompletion done;
    STATUS(RVL_STATUS_NULL, rvl_submit(engine, NULL, 0));
    STATUS(RVL_STATUS_NULL, rvl_complete(engine, 0, NULL));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_submit(engine + 1, &good, 0));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_complete(0, 0, &done));
#define REQUEST(status, field, value)                              \
    do {                                                           \
        RvlRequest wrong = good;                                   \
        wrong.field = value;                                       \
        STATUS(RVL_STATUS_##status, rvl_submit(engine, &wrong, 0)); \
    } while (0)
    REQUEST(NULL, pieces, NULL);
    REQUEST(NULL, result, NULL);
    REQUEST(BAD_PARAM, direction, 2);
    REQUEST(BAD_PARAM, mark, 5);
    REQUEST(BAD_POINTER, piece_count, SIZE_MAX);
    REQUEST(BAD_POINTER, result_capacity, SIZE_MAX);
    piece.length = SIZE_MAX;
    STATUS(RVL_STATUS_BAD_POINTER, rvl_submit(engine, &good, 0));
    piece = (RvlPiece){.data = NULL, .length = 4};
    STATUS(RVL_STATUS_NULL, rvl_submit(engine, &good, 0));
    STATUS(RVL_STATUS_EMPTY, rvl_complete(engine, 0, &done));

    /* No room, no bytes: dropped, with the reason. */
    piece = (RvlPiece){.data = clear[0], .length = 20};
    RvlRequest odd = good;
    odd.result_capacity = 30;
    OK(rvl_submit(engine, &odd, 0));
    OK(rvl_complete(engine, 0, &done));
    CHECK(done.applied.verdict == RVL_VERDICT_DROP && done.applied.reason == RVL_STATUS_DST_OUT_OF_SPACE);
    odd = good;
    odd.piece_count = 0;
    OK(rvl_submit(engine, &odd, 0));
    OK(rvl_complete(engine, 0, &done));
    CHECK(done.applied.verdict == RVL_VERDICT_DROP);
    /* Freed with requests that nobody asked for. */
    OK(rvl_submit(engine, &good, 0));
    OK(rvl_engine_free(engine));

    config.max_requests = 0;
    OK(rvl_engine_new(&config, &engine));
    STATUS(RVL_STATUS_OUT_OF_REQS, rvl_submit(engine, &good, 0));
    OK(rvl_engine_free(engine));
}

int main(void)
{
    crossing();
    hostile();
    puts("done");
    return 0;
}
