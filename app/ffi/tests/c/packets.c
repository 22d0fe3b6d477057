/* Two engines protect packets for each other, with SAs keyed by hand. */
#include "common.h"

static const uint8_t KEY[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

static RvlPolicy policy_to(const char *source, const char *destination, const char *endpoint, uint32_t mode)
{
    return (RvlPolicy){
        .id = 1,
        .priority = 10,
        .action = RVL_PROTECT,
        .source = source,
        .destination = destination,
        .mode = mode,
        .endpoint = endpoint,
        .replay_window = 64,
    };
}

static RvlSa sa_from(uint32_t direction, const char *from, const char *to, uint32_t mode, const char *encryption)
{
    int aead = strstr(encryption, "CBC") == NULL;
    return (RvlSa){
        .direction = direction,
        .spi = 0x1001,
        .policy = 1,
        .mode = mode,
        .from = from,
        .to = to,
        .extended_sequence = 1,
        .encryption = encryption,
        .encryption_key = KEY,
        .encryption_key_len = aead ? (strstr(encryption, "128") ? 20 : 36) : 32,
        .integrity = aead ? NULL : "HMAC-SHA-2-256",
        .integrity_key = KEY,
        .integrity_key_len = aead ? 0 : 32,
        .replay_window = 64,
        .lifetime = {.hard_packets = 50, .soft_packets = 40},
    };
}

static void round_trips(uint32_t mode, const char *encryption, int in_udp)
{
    uint64_t seed[2] = {11, 22};
    RvlHandle left = engine_new(&seed[0]), right = engine_new(&seed[1]);
    int tunnel = mode == RVL_TUNNEL;
    const char *a = tunnel ? "192.0.2.1" : "10.0.1.1", *b = tunnel ? "192.0.2.2" : "10.0.2.1";
    RvlPolicy there = policy_to("10.0.1.0/24", "10.0.2.0/255.255.255.0", b, mode);
    RvlPolicy here = policy_to("10.0.2.0-.255", "10.0.1.0/24", a, mode);
    OK(rvl_add_policy(left, &there));
    OK(rvl_add_policy(right, &here));

    uint8_t clear[1500], buffer[2048];
    RvlResult result;
    RvlEvent event;
    size_t len = udp_packet(clear, 1, 2, 53, 1000);
    RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_encapsulate(left, &packet, SECOND, &result));
    CHECK(result.verdict == RVL_VERDICT_HOLD && result.policy == 1);
    CHECK(result.reason == RVL_STATUS_KEYNEG_INPROGRESS);
    CHECK(packet.length == len && memcmp(buffer + packet.offset, clear, len) == 0);
    OK(rvl_poll_event(left, &event));
    CHECK(event.kind == RVL_EVENT_KIND_ACQUIRE && event.policy == 1 && event.destination_port == 53);
    CHECK(event.source.family == 4 && memcmp(event.source.bytes, "\12\0\1\1", 4) == 0);
    STATUS(RVL_STATUS_EMPTY, rvl_poll_event(left, &event));

    RvlDisposition asked;
    OK(rvl_get_policy(left, RVL_OUTBOUND, &packet, &asked));
    CHECK(asked.verdict == (tunnel ? RVL_VERDICT_SECURE_TUNNEL : RVL_VERDICT_SECURE_TRANSPORT));
    CHECK(asked.has_policy == 1 && asked.policy == 1 && asked.reason == RVL_STATUS_OK);
    OK(rvl_get_policy(right, RVL_INBOUND, &packet, &asked));
    CHECK(asked.has_policy == 1 && asked.policy == 1);
    OK(rvl_get_policy(right, RVL_OUTBOUND, &packet, &asked));
    CHECK(asked.verdict == RVL_VERDICT_DROP && asked.has_policy == 0 && asked.reason == RVL_STATUS_POLICY_NOT_FOUND);

    RvlSa sender = sa_from(RVL_OUTBOUND, a, b, mode, encryption);
    RvlSa receiver = sa_from(RVL_INBOUND, a, b, mode, encryption);
    if (in_udp)
        sender.source_port = sender.destination_port = receiver.source_port = receiver.destination_port = 4500;
    OK(rvl_add_sa(left, &sender, SECOND));
    OK(rvl_add_sa(right, &receiver, SECOND));
    STATUS(RVL_STATUS_EXIST, rvl_add_sa(left, &sender, SECOND));

    for (size_t payload = 0; payload < 50 * 20; payload += 20) {
        len = udp_packet(clear, 1, 2, 53, payload);
        packet = placed(buffer, sizeof buffer, clear, len);
        OK(rvl_encapsulate(left, &packet, SECOND, &result));
        CHECK(result.verdict == (tunnel ? RVL_VERDICT_SECURE_TUNNEL : RVL_VERDICT_SECURE_TRANSPORT));
        CHECK(result.destination.family == 4);
        CHECK(memcmp(result.destination.bytes, tunnel ? "\300\0\2\2" : "\12\0\2\1", 4) == 0);
        CHECK(result.destination_port == (in_udp ? 4500 : 0));
        CHECK(buffer[packet.offset + 9] == (in_udp ? 17 : 50));
        CHECK(memcmp(buffer + packet.offset + result.esp_offset, "\0\0\20\1", 4) == 0);
        uint8_t sealed[2048];
        size_t sealed_len = packet.length;
        memcpy(sealed, buffer + packet.offset, sealed_len);
        /* A hook that sees the packet again leaves it alone. */
        OK(rvl_encapsulate(left, &packet, SECOND, &result));
        CHECK(result.verdict == RVL_VERDICT_BYPASS && packet.length == sealed_len);

        packet.mark = 0;
        OK(rvl_decapsulate(right, &packet, SECOND, &result));
        CHECK(result.verdict == (tunnel ? RVL_VERDICT_SECURE_TUNNEL : RVL_VERDICT_SECURE_TRANSPORT));
        CHECK(packet.length == len && memcmp(buffer + packet.offset, clear, len) == 0);
        /* IP processing begins anew with the inner packet. */
        OK(rvl_decapsulate(right, &packet, SECOND, &result));
        CHECK(result.verdict == RVL_VERDICT_BYPASS);

        packet = placed(buffer, sizeof buffer, sealed, sealed_len);
        OK(rvl_decapsulate(right, &packet, SECOND, &result));
        CHECK(result.verdict == RVL_VERDICT_DROP);
        CHECK(result.reason == RVL_STATUS_BAD_SEQUENCE_NUMBER || result.reason == RVL_STATUS_BAD_SESS_ERR);
    }
    OK(rvl_poll_event(left, &event));
    CHECK(event.kind == RVL_EVENT_KIND_SOFT_EXPIRE && event.spi == 0x1001 && event.direction == RVL_OUTBOUND);
    OK(rvl_poll_event(left, &event));
    CHECK(event.kind == RVL_EVENT_KIND_HARD_EXPIRE);

    /* In the clear where protection is asked for, and what no policy is about. */
    len = udp_packet(clear, 1, 2, 53, 10);
    packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_decapsulate(right, &packet, SECOND, &result));
    CHECK(result.verdict == RVL_VERDICT_DROP && result.reason == RVL_STATUS_INBOUND_EXPECTED_SECURE_PACKET);
    len = udp_packet(clear, 1, 3, 53, 10);
    packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_encapsulate(left, &packet, SECOND, &result));
    CHECK(result.verdict == RVL_VERDICT_DROP && result.reason == RVL_STATUS_POLICY_NOT_FOUND);
    RvlPolicy bypass = {.id = 2, .priority = 5, .action = RVL_BYPASS, .protocol = 17, .source = "any",
                        .destination = "10.0.3.0/24,53"};
    OK(rvl_add_policy(left, &bypass));
    OK(rvl_encapsulate(left, &packet, SECOND, &result));
    CHECK(result.verdict == RVL_VERDICT_BYPASS && packet.length == len);

    RvlCounters counters;
    OK(rvl_counters(left, RVL_OUTBOUND, &counters));
    CHECK(counters.protected_packets == 50 && counters.held == 1 && counters.dropped == 1);
    OK(rvl_delete_sa(left, RVL_OUTBOUND, 0x1001, b));
    STATUS(RVL_STATUS_SA_NOT_FOUND, rvl_delete_sa(left, RVL_OUTBOUND, 0x1001, b));
    OK(rvl_delete_policy(left, 2));
    STATUS(RVL_STATUS_POLICY_NOT_FOUND, rvl_delete_policy(left, 2));
    OK(rvl_engine_free(left));
    OK(rvl_engine_free(right));
}

static void lifetimes(void)
{
    uint64_t seed = 33, next = 0;
    RvlHandle engine = engine_new(&seed);
    OK(rvl_engine_tick(engine, 0, &next));
    CHECK(next == UINT64_MAX);
    RvlSa sa = sa_from(RVL_OUTBOUND, "192.0.2.1", "192.0.2.2", RVL_TUNNEL, "AES256-GCM");
    sa.lifetime = (RvlLifetime){.soft_seconds = 5, .hard_seconds = 9};
    OK(rvl_add_sa(engine, &sa, 100 * SECOND));
    OK(rvl_engine_tick(engine, 104 * SECOND, &next));
    CHECK(next == 105 * SECOND);
    OK(rvl_engine_tick(engine, next, NULL));
    RvlEvent event;
    OK(rvl_poll_event(engine, &event));
    CHECK(event.kind == RVL_EVENT_KIND_SOFT_EXPIRE);
    OK(rvl_engine_tick(engine, 109 * SECOND, &next));
    OK(rvl_poll_event(engine, &event));
    CHECK(event.kind == RVL_EVENT_KIND_HARD_EXPIRE && event.destination.bytes[3] == 2);
    OK(rvl_engine_free(engine));
}

static void options(void)
{
    uint64_t seed = 44;
    RvlHandle engine = engine_new(&seed);
    RvlPolicy policy = policy_to("any", "any", "192.0.2.2", RVL_TUNNEL);
    OK(rvl_add_policy(engine, &policy));
    RvlSa sa = sa_from(RVL_OUTBOUND, "192.0.2.1", "192.0.2.2", RVL_TUNNEL, "AES256-GCM");
    sa.options = (RvlOptions){.flags = RVL_SET_DSCP, .dscp = 46, .df = RVL_DF_SET, .hop_limit = 9, .mtu = 600};
    OK(rvl_add_sa(engine, &sa, 0));
    uint8_t clear[1500], buffer[2048];
    RvlResult result;
    size_t len = udp_packet(clear, 1, 2, 9, 100);
    RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_encapsulate(engine, &packet, 0, &result));
    CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL);
    const uint8_t *outer = buffer + packet.offset;
    CHECK(outer[1] >> 2 == 46 && (outer[6] & 0x40) && outer[8] == 9);

    /* Too long for the path: to be cut, or where that is forbidden a message to its sender. */
    len = udp_packet(clear, 1, 2, 9, 1000);
    packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_encapsulate(engine, &packet, 0, &result));
    CHECK(result.verdict == RVL_VERDICT_FRAGMENT && result.fragment_size > 400 && result.fragment_size < 600);
    CHECK(packet.length == len && memcmp(buffer + packet.offset, clear, len) == 0);
    clear[6] |= 0x40;
    clear[10] = clear[11] = 0;
    packet = placed(buffer, sizeof buffer, clear, len);
    OK(rvl_encapsulate(engine, &packet, 0, &result));
    CHECK(result.verdict == RVL_VERDICT_TOO_BIG);
    const uint8_t *icmp = buffer + packet.offset;
    CHECK(icmp[9] == 1 && icmp[20] == 3 && icmp[21] == 4 && memcmp(icmp + 16, clear + 12, 4) == 0);
    OK(rvl_engine_free(engine));
}

/* RvlOptions.tfc: packets of one length leave with many, and arrive as they were. */
static void padding(void)
{
    uint64_t seed = 45;
    RvlHandle engine = engine_new(&seed);
    RvlPolicy policy = policy_to("any", "any", "192.0.2.2", RVL_TUNNEL);
    OK(rvl_add_policy(engine, &policy));
    for (uint32_t direction = RVL_OUTBOUND; direction <= RVL_INBOUND; direction++) {
        RvlSa sa = sa_from(direction, "192.0.2.1", "192.0.2.2", RVL_TUNNEL, "AES256-GCM");
        sa.options.tfc = 200;
        OK(rvl_add_sa(engine, &sa, 0));
    }
    uint8_t clear[1500], buffer[2048];
    size_t len = udp_packet(clear, 1, 2, 9, 100), shortest = SIZE_MAX, longest = 0;
    for (int i = 0; i < 40; i++) {
        RvlResult result;
        RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
        OK(rvl_encapsulate(engine, &packet, 0, &result));
        CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL);
        shortest = packet.length < shortest ? packet.length : shortest;
        longest = packet.length > longest ? packet.length : longest;
        OK(rvl_decapsulate(engine, &packet, 0, &result));
        CHECK(packet.length == len && memcmp(buffer + packet.offset, clear, len) == 0);
    }
    CHECK(longest - shortest > 100 && longest - shortest <= 200);
    OK(rvl_engine_free(engine));
}

/* SPD-O and SPD-I: what is discarded outbound alone arrives. */
static void directions(void)
{
    uint64_t seed = 46;
    RvlHandle engine = engine_new(&seed);
    uint8_t clear[200], buffer[500];
    size_t len = udp_packet(clear, 1, 2, 9, 10);
    RvlPolicy bypass = {.id = 2, .priority = 20, .action = RVL_BYPASS, .source = "any", .destination = "any"};
    RvlPolicy discard = {.id = 1, .priority = 10, .action = RVL_DISCARD, .source = "any", .destination = "any"};
    OK(rvl_add_policy(engine, &bypass));
    for (uint32_t ways = RVL_BOTH_WAYS; ways <= RVL_INBOUND_ONLY; ways++) {
        discard.ways = ways;
        OK(rvl_add_policy(engine, &discard));
        RvlResult result;
        RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
        OK(rvl_encapsulate(engine, &packet, 0, &result));
        CHECK(result.verdict == (ways == RVL_INBOUND_ONLY ? RVL_VERDICT_BYPASS : RVL_VERDICT_DROP));
        packet = placed(buffer, sizeof buffer, clear, len);
        OK(rvl_decapsulate(engine, &packet, 0, &result));
        CHECK(result.verdict == (ways == RVL_OUTBOUND_ONLY ? RVL_VERDICT_BYPASS : RVL_VERDICT_DROP));
    }
    discard.ways = 3;
    STATUS(RVL_STATUS_BAD_PARAM, rvl_add_policy(engine, &discard));
    OK(rvl_engine_free(engine));
}

/* Every kind of suite, those that one has to ask for by name among them. */
static void suites(void)
{
    static const struct {
        const char *encryption, *integrity;
        size_t key, integrity_key;
        int readable;
    } SUITES[] = {
        {"AES128-CCM", NULL, 19, 0, 0},          {"AES256-CCM-8", NULL, 35, 0, 0},
        {"AES256-CTR", "AES-XCBC", 36, 16, 0},   {"CAMELLIA128-CBC", "AES-CMAC", 16, 16, 0},
        {"3DES-CBC", "HMAC-SHA-1", 24, 20, 0},   {"DES-CBC", "HMAC-MD5", 8, 16, 0},
        {"NULL_ENC", "HMAC-SHA-2-256", 0, 32, 1}, {"AES128-GMAC", NULL, 20, 0, 1},
    };
    for (size_t i = 0; i < sizeof SUITES / sizeof *SUITES; i++) {
        uint64_t seed[2] = {13 + i, 24 + i};
        RvlHandle left = engine_new(&seed[0]), right = engine_new(&seed[1]);
        RvlPolicy there = policy_to("10.0.1.0/24", "10.0.2.0/24", "192.0.2.2", RVL_TUNNEL);
        RvlPolicy here = policy_to("10.0.2.0/24", "10.0.1.0/24", "192.0.2.1", RVL_TUNNEL);
        OK(rvl_add_policy(left, &there));
        OK(rvl_add_policy(right, &here));
        RvlSa sa = sa_from(RVL_OUTBOUND, "192.0.2.1", "192.0.2.2", RVL_TUNNEL, SUITES[i].encryption);
        sa.encryption_key_len = SUITES[i].key;
        sa.integrity = SUITES[i].integrity;
        sa.integrity_key_len = SUITES[i].integrity_key;
        OK(rvl_add_sa(left, &sa, SECOND));
        sa.direction = RVL_INBOUND;
        OK(rvl_add_sa(right, &sa, SECOND));
        uint8_t clear[512], buffer[1024];
        RvlResult result;
        size_t len = udp_packet(clear, 1, 2, 53, 200);
        RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
        OK(rvl_encapsulate(left, &packet, SECOND, &result));
        CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL && packet.length > len);
        int seen = 0;
        for (size_t at = packet.offset; at + 100 <= packet.offset + packet.length; at++)
            seen |= memcmp(buffer + at, clear + 28, 100) == 0;
        CHECK(seen == SUITES[i].readable);
        packet.mark = 0;
        OK(rvl_decapsulate(right, &packet, SECOND, &result));
        CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL);
        CHECK(packet.length == len && memcmp(buffer + packet.offset, clear, len) == 0);
        OK(rvl_engine_free(left));
        OK(rvl_engine_free(right));
    }
}

int main(void)
{
    static const char *const CIPHERS[] = {"AES128-GCM", "AES256-GCM", "CHACHA20-POLY1305", "AES256-CBC"};
    for (size_t i = 0; i < sizeof CIPHERS / sizeof *CIPHERS; i++)
        for (uint32_t mode = RVL_TUNNEL; mode <= RVL_TRANSPORT; mode++)
            for (int in_udp = 0; in_udp < 2; in_udp++)
                round_trips(mode, CIPHERS[i], in_udp);
    lifetimes();
    options();
    padding();
    directions();
    suites();
    puts("done");
    return 0;
}
