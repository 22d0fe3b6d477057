/* Wrong arguments give a status each, and nothing else happens. */
#include "common.h"

static int32_t failing_random(void *context, uint8_t *out, size_t len)
{
    (void)out;
    (void)len;
    int *calls = context;
    return ++*calls > 2 ? -5 : 0;
}

static RvlHandle seen;
static int32_t calling_random(void *context, uint8_t *out, size_t len)
{
    (void)context;
    memset(out, 7, len);
    STATUS(RVL_STATUS_REENTERED, rvl_engine_free(seen));
    return 0;
}

static void handles(void)
{
    uint64_t seed = 5;
    RvlHandle engine = engine_new(&seed), other = engine_new(&seed);
    CHECK(engine != other);
    RvlHandle wrong[] = {0, 1, engine + 1000, engine | 1ull << 63, UINT64_MAX, (uint32_t)engine};
    RvlEvent event;
    RvlResult result;
    RvlCounters counters;
    RvlPacket packet = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_engine_free(wrong[i]));
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_poll_event(wrong[i], &event));
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_engine_tick(wrong[i], 0, NULL));
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_delete_policy(wrong[i], 1));
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_encapsulate(wrong[i], &packet, 0, &result));
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_decapsulate(wrong[i], &packet, 0, &result));
        STATUS(RVL_STATUS_BAD_HANDLE, rvl_counters(wrong[i], RVL_INBOUND, &counters));
    }
    OK(rvl_engine_free(engine));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_engine_free(engine));
    RvlHandle again = engine_new(&seed);
    CHECK(again != engine);
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_poll_event(engine, &event));
    OK(rvl_engine_free(again));
    OK(rvl_engine_free(other));

    RvlHandle all[RVL_MAX_HANDLES];
    RvlEngineConfig config = {.random = test_random, .random_context = &seed};
    for (size_t i = 0; i < 8; i++)
        OK(rvl_engine_new(&config, &all[i]));
    for (size_t i = 0; i < 8; i++)
        OK(rvl_engine_free(all[i]));
}

static void pointers(void)
{
    uint64_t seed = 6;
    RvlHandle engine = engine_new(&seed), none;
    RvlEngineConfig config = {.random = NULL};
    STATUS(RVL_STATUS_NULL, rvl_engine_new(NULL, &none));
    STATUS(RVL_STATUS_NULL, rvl_engine_new(&config, NULL));
    STATUS(RVL_STATUS_NULL, rvl_engine_new(&config, &none));
    config = (RvlEngineConfig){.random = test_random, .no_match = 7};
    STATUS(RVL_STATUS_BAD_PARAM, rvl_engine_new(&config, &none));
    CHECK(none == 0);

    RvlResult result;
    RvlPacket packet = {0};
    STATUS(RVL_STATUS_NULL, rvl_encapsulate(engine, NULL, 0, &result));
    STATUS(RVL_STATUS_NULL, rvl_encapsulate(engine, &packet, 0, NULL));
    uint8_t room[RVL_HEADROOM + 4 + RVL_TAILROOM], bytes[4] = {0};
    RvlPiece parts[] = {{.data = bytes, .length = 4}, {.data = NULL, .length = 0}, {.data = NULL, .length = 4}};
    RvlChain whole = {.pieces = parts, .piece_count = 2, .buffer = room, .capacity = sizeof room};
    STATUS(RVL_STATUS_NULL, rvl_encapsulate_chain(engine, NULL, 0, &result));
    STATUS(RVL_STATUS_NULL, rvl_decapsulate_chain(engine, &whole, 0, NULL));
    whole.piece_count = 3;
    STATUS(RVL_STATUS_NULL, rvl_decapsulate_chain(engine, &whole, 0, &result));
    whole.piece_count = SIZE_MAX;
    STATUS(RVL_STATUS_BAD_POINTER, rvl_decapsulate_chain(engine, &whole, 0, &result));
    whole.piece_count = 1;
    whole.capacity = RVL_TAILROOM;
    STATUS(RVL_STATUS_BAD_PARAM, rvl_encapsulate_chain(engine, &whole, 0, &result));
    whole.capacity = sizeof room;
    whole.mark = 77;
    STATUS(RVL_STATUS_BAD_PARAM, rvl_encapsulate_chain(engine, &whole, 0, &result));
    STATUS(RVL_STATUS_NULL, rvl_poll_event(engine, NULL));
    STATUS(RVL_STATUS_NULL, rvl_counters(engine, RVL_INBOUND, NULL));
    STATUS(RVL_STATUS_NULL, rvl_add_policy(engine, NULL));
    STATUS(RVL_STATUS_NULL, rvl_add_sa(engine, NULL, 0));
    STATUS(RVL_STATUS_NULL, rvl_delete_sa(engine, RVL_INBOUND, 1, NULL));
    RvlCounters counters[2];
    STATUS(RVL_STATUS_BAD_POINTER, rvl_counters(engine, RVL_INBOUND, (RvlCounters *)((char *)counters + 1)));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_counters(engine, 2, counters));
    OK(rvl_engine_free(engine));
}

static void packets(void)
{
    uint64_t seed = 7;
    RvlHandle engine = engine_new(&seed);
    uint8_t bytes[64] = {0};
    RvlResult result;
    RvlDisposition asked;
    /* Not inside of their buffer. */
    RvlPacket wrong[] = {
        {.buffer = NULL, .capacity = 10, .length = 1},
        {.buffer = bytes, .capacity = SIZE_MAX, .length = 20},
        {.buffer = bytes, .capacity = sizeof bytes, .length = sizeof bytes + 1},
        {.buffer = bytes, .capacity = sizeof bytes, .offset = SIZE_MAX, .length = 2},
        {.buffer = bytes, .capacity = sizeof bytes, .offset = 60, .length = 5},
        {.buffer = bytes, .capacity = sizeof bytes, .offset = 1, .length = SIZE_MAX},
        {.buffer = bytes, .capacity = sizeof bytes, .length = 20, .mark = 99},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        RvlPacket packet = wrong[i];
        CHECK(rvl_encapsulate(engine, &packet, 0, &result) != RVL_STATUS_OK);
        CHECK(rvl_decapsulate(engine, &packet, 0, &result) != RVL_STATUS_OK);
        if (!packet.mark)
            CHECK(rvl_get_policy(engine, RVL_OUTBOUND, &packet, &asked) != RVL_STATUS_OK);
        CHECK(memcmp(&packet, &wrong[i], sizeof packet) == 0);
    }
    STATUS(RVL_STATUS_NULL, rvl_get_policy(engine, RVL_OUTBOUND, NULL, &asked));
    STATUS(RVL_STATUS_NULL, rvl_get_policy(engine, RVL_OUTBOUND, wrong, NULL));
    /* No packet at all, and every byte there can be first. */
    RvlPacket empty = {0};
    OK(rvl_encapsulate(engine, &empty, 0, &result));
    CHECK(result.verdict == RVL_VERDICT_DROP && result.reason == RVL_STATUS_SRC_OUT_OF_DATA);
    for (int first = 0; first < 256; first++) {
        bytes[0] = (uint8_t)first;
        RvlPacket packet = {.buffer = bytes, .capacity = sizeof bytes, .length = sizeof bytes};
        OK(rvl_decapsulate(engine, &packet, 0, &result));
        CHECK(result.verdict == RVL_VERDICT_DROP);
    }
    OK(rvl_engine_free(engine));
}

static void texts(void)
{
    uint64_t seed = 8;
    RvlHandle engine = engine_new(&seed);
    static const uint8_t KEY[36] = {9};
    const RvlPolicy policy = {.id = 1, .action = RVL_PROTECT, .source = "any", .destination = "any",
                              .endpoint = "192.0.2.2", .replay_window = 64};
    const RvlSa sa = {.spi = 0x1000, .policy = 1, .from = "192.0.2.1", .to = "192.0.2.2",
                      .encryption = "AES256-GCM", .encryption_key = KEY, .encryption_key_len = sizeof KEY};
    OK(rvl_add_policy(engine, &policy));
    OK(rvl_add_sa(engine, &sa, 0));
#define POLICY(status, field, value)                                \
    do {                                                            \
        RvlPolicy wrong = policy;                                   \
        wrong.field = value;                                        \
        STATUS(RVL_STATUS_##status, rvl_add_policy(engine, &wrong)); \
    } while (0)
#define SA(status, field, value)                                   \
    do {                                                           \
        RvlSa wrong = sa;                                          \
        wrong.spi = 0x2000;                                        \
        wrong.field = value;                                       \
        STATUS(RVL_STATUS_##status, rvl_add_sa(engine, &wrong, 0)); \
    } while (0)
    POLICY(NULL, source, NULL);
    POLICY(NULL, destination, NULL);
    POLICY(NULL, endpoint, NULL);
    POLICY(BAD_PARAM, source, "\xff\xfe");
    POLICY(BAD_ADDR_RANGE, source, "");
    POLICY(BAD_ADDR_RANGE, source, "10.0.0.9-10.0.0.1");
    POLICY(BAD_ADDR_RANGE, destination, "10.0.0.0/99");
    POLICY(BAD_PORT_NUMBER, destination, "10.0.0.1,53");
    POLICY(BAD_PORT_NUMBER, source, "10.0.0.1,65536");
    POLICY(BAD_PORT_NUMBER, source, "10.0.0.0,http/24");
    POLICY(BAD_PORT_NUMBER, destination, "10.0.0.1,9-5");
    POLICY(BAD_PORT_NUMBER, destination, "10.0.0.1,");
    POLICY(BAD_ADDR_RANGE, destination, "any6");
    POLICY(BAD_ADDR_RANGE, source, "2001:db8::/32");
    POLICY(BAD_ADDR_RANGE, endpoint, "gateway");
    POLICY(BAD_PARAM, action, 3);
    POLICY(BAD_PARAM, mode, 2);
    POLICY(BAD_PARAM, options.flags, 256);
    POLICY(BAD_PARAM, options.df, 3);
    POLICY(BAD_PARAM, options.dscp, 64);
    SA(NULL, from, NULL);
    SA(NULL, to, NULL);
    SA(NULL, encryption, NULL);
    SA(NULL, encryption_key, NULL);
    SA(BAD_ADDR_RANGE, from, "192.0.2");
    SA(BAD_PARAM, to, "2001:db8::1");
    SA(UNKNOWN_ALGORITHM, encryption, "ROT13");
    SA(UNKNOWN_ALGORITHM, encryption, "AES256-CBC");
    SA(UNKNOWN_ALGORITHM, encryption_key_len, 16);
    SA(BAD_POINTER, encryption_key_len, SIZE_MAX);
    SA(UNKNOWN_ALGORITHM, integrity, "HMAC-SHA-2-256");
    SA(BAD_PARAM, direction, 2);
    SA(BAD_PARAM, mode, 9);
    SA(BAD_PARAM, extended_sequence, 2);
    SA(BAD_PARAM, options.df, 9);
    SA(BAD_PORT_NUMBER, source_port, 4500);
    SA(BAD_PORT_NUMBER, source, "10.0.0.1,70000");
    SA(UNKNOWN_ALGORITHM, encryption, "NULL_ENC");
    SA(UNKNOWN_ALGORITHM, encryption, "3DES-CBC");
    SA(BAD_ESP_SPI, spi, 255);
    SA(BAD_PARAM, replay_window, UINT32_MAX);
    OK(rvl_engine_free(engine));
    CHECK(strcmp(rvl_status_text(0), "done") == 0);
    CHECK(strcmp(rvl_status_text(-1), "not a status") == 0);
    CHECK(strcmp(rvl_status_text(RVL_STATUS_EXIST), "an identical entry already exists") == 0);
}

static void warnings(void)
{
    char words[256], little[8];
    size_t length = 9;
    OK(rvl_suite_warning("AES128-CCM", NULL, words, sizeof words, &length));
    CHECK(length == 0 && words[0] == 0);
    OK(rvl_suite_warning("3DES-CBC", "HMAC-MD5", words, sizeof words, &length));
    CHECK(strstr(words, "3DES") == words && strstr(words, "Sweet32") && strstr(words, "\n") && strstr(words, "MUST NOT"));
    CHECK(length == strlen(words));
    OK(rvl_suite_warning("NULL_ENC", "SHA256", little, sizeof little, &length));
    CHECK(strlen(little) == sizeof little - 1 && length > sizeof little);
    OK(rvl_suite_warning("NULL_ENC", NULL, NULL, 0, NULL));
    STATUS(RVL_STATUS_NULL, rvl_suite_warning(NULL, NULL, words, sizeof words, &length));
    STATUS(RVL_STATUS_NULL, rvl_suite_warning("DES", NULL, NULL, 1, &length));
    STATUS(RVL_STATUS_UNKNOWN_ALGORITHM, rvl_suite_warning("ROT13", NULL, words, sizeof words, &length));
    STATUS(RVL_STATUS_UNKNOWN_ALGORITHM, rvl_suite_warning("DES", "ROT13", words, sizeof words, &length));
}

static void limits(void)
{
    uint64_t seed = 9;
    static const uint8_t KEY[36] = {9};
    RvlEngineConfig config = {.random = test_random, .random_context = &seed, .max_policies = 2, .max_sas = 1,
                              .max_events = 1, .flow_sets = 1};
    RvlHandle engine;
    OK(rvl_engine_new(&config, &engine));
    RvlPolicy policy = {.action = RVL_BYPASS, .source = "any", .destination = "any"};
    for (policy.id = 0; policy.id < 2; policy.id++)
        OK(rvl_add_policy(engine, &policy));
    STATUS(RVL_STATUS_OUT_OF_POLICIES, rvl_add_policy(engine, &policy));
    OK(rvl_delete_policy(engine, 0));
    OK(rvl_add_policy(engine, &policy));
    RvlSa sa = {.spi = 0x1000, .from = "192.0.2.1", .to = "192.0.2.2", .encryption = "AES256-GCM",
                .encryption_key = KEY, .encryption_key_len = sizeof KEY};
    OK(rvl_add_sa(engine, &sa, 0));
    sa.spi++;
    STATUS(RVL_STATUS_OUT_OF_SESSIONS, rvl_add_sa(engine, &sa, 0));
    OK(rvl_engine_free(engine));

    /* Memory for all that there may be is not taken for a million of it because nobody said how many. */
    RvlSuite suite = {.encryption = "AES128-GCM"};
    const RvlEngineConfig bounded = {.random = test_random, .random_context = &seed, .max_policies = 2, .max_sas = 2,
                                     .max_events = 4, .flow_sets = 1, .max_selectors = 2, .max_replay_window = 64,
                                     .suites = &suite, .suite_count = 1};
    config = bounded;
    OK(rvl_engine_new(&config, &engine));
    OK(rvl_engine_free(engine));
    uint32_t *open[] = {&config.max_policies, &config.max_sas, &config.max_events, &config.max_selectors};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        config = bounded;
        *open[i] = 0;
        STATUS(RVL_STATUS_BAD_PARAM, rvl_engine_new(&config, &engine));
        CHECK(engine == 0);
    }
}

static void callbacks(void)
{
    /* A source that fails, once the engine was made, ends the engine and not the program. */
    int calls = 0;
    RvlEngineConfig config = {.random = failing_random, .random_context = &calls};
    RvlHandle engine = 0;
    RvlStatus status = rvl_engine_new(&config, &engine);
    if (status == RVL_STATUS_OK) {
        static const uint8_t KEY[32] = {3};
        RvlPolicy policy = {.id = 1, .action = RVL_PROTECT, .source = "any", .destination = "any",
                            .endpoint = "192.0.2.2"};
        RvlSa sa = {.spi = 0x1000, .policy = 1, .from = "192.0.2.1", .to = "192.0.2.2", .encryption = "AES256-CBC",
                    .encryption_key = KEY, .encryption_key_len = 32, .integrity = "SHA256", .integrity_key = KEY,
                    .integrity_key_len = 32};
        OK(rvl_add_policy(engine, &policy));
        OK(rvl_add_sa(engine, &sa, 0));
        uint8_t clear[256], buffer[1024];
        RvlResult result;
        size_t len = udp_packet(clear, 1, 2, 9, 100);
        RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
        STATUS(RVL_STATUS_INTERNAL, rvl_encapsulate(engine, &packet, 0, &result));
        STATUS(RVL_STATUS_INTERNAL, rvl_encapsulate(engine, &packet, 0, &result));
        OK(rvl_engine_free(engine));
    } else {
        CHECK(status == RVL_STATUS_INTERNAL);
    }
    config.random = calling_random;
    OK(rvl_engine_new(&config, &seen));
    OK(rvl_engine_free(seen));
}

int main(void)
{
    handles();
    pointers();
    packets();
    texts();
    warnings();
    limits();
    callbacks();
    puts("done");
    return 0;
}
