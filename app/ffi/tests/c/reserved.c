/* An engine that names its suites asks for no memory once it is made: every call of the allocator is counted. */
#include <errno.h>

#include "common.h"

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static unsigned long calls;

void *malloc(size_t size)
{
    calls++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    calls++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    calls++;
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    calls++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    calls++;
    *out = __libc_memalign(alignment, size);
    return *out == NULL ? ENOMEM : 0;
}

void free(void *old)
{
    calls += old != NULL;
    __libc_free(old);
}

static const uint8_t KEY[32] = {7, 1};

enum { SAS = 8 };

static RvlStatus add(RvlHandle engine, uint32_t direction, uint32_t n)
{
    RvlSa sa = {.direction = direction, .spi = 0x1000 + n, .policy = 1, .from = "192.0.2.1", .to = "192.0.2.2",
                .source = n % 3 ? "10.0.1.0/24" : NULL, .destination = n % 3 ? "10.0.2.0/255.255.255.0,1-65535" : NULL,
                .protocol = 17, .encryption_key = KEY, .replay_window = 64};
    if (n % 2) {
        sa.encryption = "aes128-gcm";
        sa.encryption_key_len = 20;
        sa.extended_sequence = 1;
    } else {
        sa.encryption = "AES256-CBC";
        sa.encryption_key_len = 32;
        sa.integrity = "HMAC-SHA-2-256";
        sa.integrity_key = KEY;
        sa.integrity_key_len = 32;
        sa.options.flags = n % 4 ? RVL_SHORT_ICV : 0;
    }
    return rvl_add_sa(engine, &sa, 0);
}

static void cross(RvlHandle engine, uint32_t n, int forged)
{
    uint8_t clear[1500], buffer[2048];
    size_t len = udp_packet(clear, 1, 2, 9, 20 + n * 13 % 1200);
    RvlResult result;
    RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_encapsulate(engine, &packet, n, &result));
    CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL);
    if (forged)
        buffer[packet.offset + packet.length - 1] ^= 1;
    packet.mark = 0;
    OK(rvl_decapsulate(engine, &packet, n, &result));
    CHECK(result.verdict == (forged ? RVL_VERDICT_DROP : RVL_VERDICT_SECURE_TUNNEL));

    RvlPiece pieces[] = {{clear, 11}, {clear + 11, len - 11}};
    RvlRequest request = {.direction = RVL_OUTBOUND, .token = n, .pieces = pieces, .piece_count = 2, .result = buffer,
                          .result_capacity = sizeof buffer};
    RvlCompletion done;
    OK(rvl_submit(engine, &request, n));
    OK(rvl_complete(engine, n, &done));
    CHECK(done.token == n && done.applied.verdict == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(rvl_complete(engine, n, &done) == RVL_STATUS_EMPTY);
}

int main(void)
{
    uint64_t seed = 5, next;
    RvlSuite suites[] = {{.encryption = "AES128-GCM", .extended_sequence = 1},
                         {.encryption = "AES256-CBC", .integrity = "HMAC-SHA-2-256"}};
    RvlEngineConfig config = {.no_match = RVL_NO_MATCH_DISCARD, .random = test_random, .random_context = &seed,
                              .max_requests = 4, .max_policies = 4, .max_sas = SAS, .max_events = 16, .flow_sets = 16,
                              .max_selectors = 2, .max_replay_window = 64, .suites = suites, .suite_count = 2};
    RvlHandle engine;
    OK(rvl_engine_new(&config, &engine));
    RvlPolicy policy = {.id = 1, .action = RVL_PROTECT, .source = "10.0.1.0/24", .destination = "10.0.2.0/24",
                        .endpoint = "192.0.2.2", .replay_window = 64};
    OK(rvl_add_policy(engine, &policy));
    for (uint32_t direction = RVL_OUTBOUND; direction <= RVL_INBOUND; direction++)
        OK(add(engine, direction, 1));
    /* What the cipher library keeps for each thread. */
    cross(engine, 1, 1);

    unsigned long before = calls;
    uint32_t full = 0;
    for (uint32_t n = 2; n < 400; n++) {
        for (uint32_t direction = RVL_OUTBOUND; direction <= RVL_INBOUND; direction++) {
            if (n > SAS / 2)
                OK(rvl_delete_sa(engine, direction, 0x1000 + n - SAS / 2, "192.0.2.2"));
            OK(add(engine, direction, n));
            STATUS(RVL_STATUS_EXIST, add(engine, direction, n));
        }
        cross(engine, n, n % 5 == 0);
        policy.id = 2 + n % 6;
        policy.priority = 10 + n;
        policy.source = n % 2 ? "10.9.0.4-.60" : "2001:db8::/32,53";
        policy.destination = n % 2 ? "any" : "any6";
        policy.protocol = 17;
        RvlStatus status = rvl_add_policy(engine, &policy);
        CHECK(status == RVL_STATUS_OK || status == RVL_STATUS_OUT_OF_POLICIES);
        full += status != RVL_STATUS_OK;
        if (n % 7 == 0)
            CHECK(rvl_delete_policy(engine, 2 + n / 7 % 6) != RVL_STATUS_BAD_PARAM);
        policy.replay_window = 64;
        RvlSa wrong = {.direction = RVL_OUTBOUND, .spi = 9999, .from = "192.0.2.1", .to = "2001:db8::1",
                       .encryption = "AES128-GCM", .encryption_key = KEY, .encryption_key_len = 20};
        STATUS(RVL_STATUS_BAD_PARAM, rvl_add_sa(engine, &wrong, 0));
        wrong.to = "192.0.2.3";
        wrong.replay_window = 65;
        STATUS(RVL_STATUS_BAD_PARAM, rvl_add_sa(engine, &wrong, 0));
        RvlEvent event;
        OK(rvl_engine_tick(engine, n, &next));
        while (rvl_poll_event(engine, &event) == RVL_STATUS_OK)
            ;
        RvlCounters counters;
        OK(rvl_counters(engine, RVL_INBOUND, &counters));
        CHECK(counters.protected_packets > 0);
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_engine_tick(engine + 1, n, &next));
    }
    CHECK(calls == before);
    CHECK(full > 10);
    OK(rvl_engine_free(engine));
    suites[0].encryption = "nothing";
    STATUS(RVL_STATUS_UNKNOWN_ALGORITHM, rvl_engine_new(&config, &engine));
    puts("done");
    return 0;
}
