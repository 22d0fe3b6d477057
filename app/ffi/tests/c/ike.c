/* Two IKE endpoints in one program key two engines: a packet asks for SAs, packets cross, SAs are replaced and ended. */
#include "common.h"

typedef struct {
    uint64_t seed[2];
    RvlHandle engine, ike;
    RvlEndpoint address;
    uint64_t deadline;
    int up, rekeyed, down, child_down, failed;
    char text[256];
} Host;

static uint64_t now = 1000 * SECOND;
static int datagrams;
/* The network: all datagrams of this number and above are lost. */
static int lost_from = 1 << 30;

static RvlEndpoint endpoint(uint8_t last, uint16_t port)
{
    RvlEndpoint at = {.address = {.family = 4, .bytes = {192, 0, 2, last}}, .port = port};
    return at;
}

static void host_new(Host *host, int which, const char *secret)
{
    static const char *const ADDRESS[] = {"192.0.2.1", "192.0.2.2"};
    static const char *const NAME[] = {"fqdn:left.example", "fqdn:right.example"};
    static const char *const NET[] = {"10.0.1.0/24", "10.0.2.0/24"};
    memset(host, 0, sizeof *host);
    host->seed[0] = 77 + which;
    host->seed[1] = 99 + which;
    host->engine = engine_new(&host->seed[0]);
    host->address = endpoint((uint8_t)(which + 1), 500);
    OK(rvl_ike_new(test_random, &host->seed[1], now, &host->ike));
    RvlRemote remote = {
        .name = "other",
        .local = ADDRESS[which],
        .remote = ADDRESS[!which],
        .local_id = NAME[which],
        .remote_id = NAME[!which],
        .secret = (const uint8_t *)secret,
        .secret_len = strlen(secret),
        .key_exchange = "CURVE25519",
        .lifetime = 3600,
        .liveness = 60,
    };
    OK(rvl_ike_add_remote(host->ike, &remote, now));
    RvlPolicy policy = {
        .id = 5,
        .priority = 10,
        .action = RVL_PROTECT,
        .source = NET[which],
        .destination = NET[!which],
        .endpoint = ADDRESS[!which],
        .replay_window = 64,
        .lifetime = {.soft_seconds = 600, .hard_seconds = 700},
    };
    OK(rvl_add_policy(host->engine, &policy));
    OK(rvl_ike_add_policy(host->ike, &policy, "other", "AES256-GCM,AES128-CBC", NULL, "CURVE25519", now));
}

static void host_free(Host *host)
{
    OK(rvl_ike_free(host->ike));
    OK(rvl_engine_free(host->engine));
}

static void run(Host *from, Host *to);

static void note(Host *host, const RvlIkeOutput *output, const uint8_t *text)
{
    size_t len = output->length < sizeof host->text ? output->length : sizeof host->text - 1;
    memcpy(host->text, text, len);
    host->text[len] = 0;
    switch (output->event) {
    case RVL_IKE_EVENT_CHILD_UP: host->up++; break;
    case RVL_IKE_EVENT_CHILD_REKEYED: host->rekeyed++; break;
    case RVL_IKE_EVENT_IKE_DOWN: host->down++; break;
    case RVL_IKE_EVENT_CHILD_DOWN: host->child_down++; break;
    case RVL_IKE_EVENT_FAILED: host->failed++; break;
    default: break;
    }
}

/* Takes all outputs of a host; its datagrams reach the other at once. */
static void run(Host *host, Host *other)
{
    OK(rvl_ike_follow(host->ike, host->engine, now));
    for (;;) {
        uint8_t small[1], buffer[4096];
        RvlIkeOutput output;
        RvlStatus status = rvl_ike_poll(host->ike, host->engine, now, &output, small, sizeof small);
        if (status == RVL_STATUS_TOO_SMALL) {
            CHECK(output.length > 1);
            OK(rvl_ike_poll(host->ike, host->engine, now, &output, buffer, sizeof buffer));
        } else {
            CHECK(status == RVL_STATUS_OK);
        }
        if (output.kind == RVL_IKE_OUTPUT_KIND_WAIT) {
            host->deadline = output.deadline;
            return;
        }
        if (output.kind == RVL_IKE_OUTPUT_KIND_EVENT) {
            note(host, &output, buffer);
            continue;
        }
        CHECK(output.kind == RVL_IKE_OUTPUT_KIND_TRANSMIT);
        CHECK(memcmp(output.remote.address.bytes, other->address.address.bytes, 4) == 0);
        if (datagrams++ >= lost_from)
            continue;
        OK(rvl_ike_receive(other->ike, &output.remote, &output.local, buffer, output.length, now));
        run(other, host);
    }
}

/* Lets time pass until `end`. */
static void until(Host *a, Host *b, uint64_t end)
{
    for (;;) {
        uint64_t next = a->deadline < b->deadline ? a->deadline : b->deadline, engine[2];
        OK(rvl_engine_tick(a->engine, now, &engine[0]));
        OK(rvl_engine_tick(b->engine, now, &engine[1]));
        for (int i = 0; i < 2; i++)
            next = engine[i] < next ? engine[i] : next;
        if (next > end)
            break;
        now = next > now ? next : now + 1;
        OK(rvl_engine_tick(a->engine, now, NULL));
        OK(rvl_engine_tick(b->engine, now, NULL));
        OK(rvl_ike_timer(a->ike, now));
        OK(rvl_ike_timer(b->ike, now));
        run(a, b);
        run(b, a);
    }
    now = end;
}

static RvlVerdict send(Host *from, Host *to, uint8_t a, uint8_t b)
{
    uint8_t clear[1500], buffer[2048];
    size_t len = udp_packet(clear, a, b, 9, 300);
    RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
    RvlResult result;
    OK(rvl_encapsulate(from->engine, &packet, now, &result));
    if (result.verdict != RVL_VERDICT_SECURE_TUNNEL)
        return result.verdict;
    packet.mark = 0;
    OK(rvl_decapsulate(to->engine, &packet, now, &result));
    CHECK(packet.length == len && memcmp(buffer + packet.offset, clear, len) == 0);
    return result.verdict;
}

static void life_of_an_sa(void)
{
    Host left, right;
    host_new(&left, 0, "a secret of two");
    host_new(&right, 1, "a secret of two");
    CHECK(send(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
    run(&left, &right);
    run(&right, &left);
    CHECK(left.up == 1 && right.up == 1);
    CHECK(datagrams == 4);
    CHECK(send(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(send(&right, &left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);

    /* SAs are replaced before they end, and traffic goes on. */
    for (int i = 0; i < 20; i++) {
        until(&left, &right, now + 100 * SECOND);
        CHECK(send(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
        CHECK(send(&right, &left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);
    }
    CHECK(left.rekeyed + left.up >= 4 && left.failed == 0 && right.failed == 0);
    OK(rvl_ike_rekey(left.ike, 5, now));
    run(&left, &right);
    run(&right, &left);
    CHECK(send(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);

    OK(rvl_ike_terminate(left.ike, NULL, now));
    run(&left, &right);
    run(&right, &left);
    CHECK(left.down >= 1 && right.down >= 1);
    CHECK(send(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
    OK(rvl_ike_delete_policy(left.ike, 5, now));
    STATUS(RVL_STATUS_POLICY_NOT_FOUND, rvl_ike_delete_policy(left.ike, 5, now));
    OK(rvl_ike_delete_remote(left.ike, "other", now));
    STATUS(RVL_STATUS_POLICY_NOT_FOUND, rvl_ike_delete_remote(left.ike, "other", now));
    host_free(&left);
    host_free(&right);
}

static void failures_are_told(void)
{
    Host left, right;
    host_new(&left, 0, "one secret");
    host_new(&right, 1, "another secret");
    OK(rvl_ike_initiate(left.ike, 5, now));
    run(&left, &right);
    run(&right, &left);
    CHECK(left.failed == 1 && left.up == 0 && right.up == 0);
    CHECK(strstr(left.text, "192.0.2.2") != NULL);
    host_free(&left);
    host_free(&right);

    host_new(&left, 0, "a secret of two");
    host_new(&right, 1, "a secret of two");
    lost_from = datagrams;
    OK(rvl_ike_initiate(left.ike, 5, now));
    run(&left, &right);
    until(&left, &right, now + 120 * SECOND);
    CHECK(datagrams - lost_from == 7 && left.failed == 1);
    lost_from = 1 << 30;
    host_free(&left);
    host_free(&right);
}

static void hostile(void)
{
    Host left, right;
    host_new(&left, 0, "a secret of two");
    host_new(&right, 1, "a secret of two");
    RvlIkeOutput output;
    uint8_t buffer[64];
    RvlEndpoint peer = endpoint(2, 500), natt = endpoint(1, 4500), nowhere = endpoint(1, 500);
    nowhere.address.family = 5;
    /* The wrong kind of handle, one handle for two, freed ones. */
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_timer(left.engine, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_free(left.engine));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_engine_free(left.ike));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_follow(left.ike, left.ike, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_follow(left.engine, left.ike, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_follow(left.ike, 0, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_poll(left.ike, right.ike, now, &output, buffer, sizeof buffer));
    STATUS(RVL_STATUS_NULL, rvl_ike_poll(left.ike, left.engine, now, NULL, buffer, sizeof buffer));
    STATUS(RVL_STATUS_NULL, rvl_ike_poll(left.ike, left.engine, now, &output, NULL, 1));
    STATUS(RVL_STATUS_NULL, rvl_ike_new(NULL, NULL, now, &left.ike));
    STATUS(RVL_STATUS_NULL, rvl_ike_new(test_random, NULL, now, NULL));
    /* Datagrams. */
    STATUS(RVL_STATUS_NULL, rvl_ike_receive(left.ike, NULL, &peer, buffer, 1, now));
    STATUS(RVL_STATUS_NULL, rvl_ike_receive(left.ike, &left.address, NULL, buffer, 1, now));
    STATUS(RVL_STATUS_NULL, rvl_ike_receive(left.ike, &left.address, &peer, NULL, 1, now));
    STATUS(RVL_STATUS_BAD_POINTER, rvl_ike_receive(left.ike, &left.address, &peer, buffer, SIZE_MAX, now));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_ike_receive(left.ike, &nowhere, &peer, buffer, 1, now));
    STATUS(RVL_STATUS_NO_DATA, rvl_ike_receive(left.ike, &natt, &peer, buffer, 0, now));
    for (size_t len = 0; len <= sizeof buffer; len++) {
        test_random(&left.seed[0], buffer, sizeof buffer);
        OK(rvl_ike_receive(left.ike, &left.address, &peer, buffer, len, now));
    }
    OK(rvl_ike_initiate(left.ike, 4711, now));
    OK(rvl_ike_poll(left.ike, left.engine, now, &output, NULL, 0));
    CHECK(output.kind == RVL_IKE_OUTPUT_KIND_WAIT);
    /* Peers and policies. */
    const RvlRemote good = {.name = "x", .local = "192.0.2.1", .remote = "192.0.2.9", .local_id = "192.0.2.1",
                            .remote_id = "192.0.2.9", .secret = buffer, .secret_len = 5, .lifetime = 60};
    OK(rvl_ike_add_remote(left.ike, &good, now));
    STATUS(RVL_STATUS_NULL, rvl_ike_add_remote(left.ike, NULL, now));
#define REMOTE(status, field, value)                                         \
    do {                                                                     \
        RvlRemote wrong = good;                                              \
        wrong.field = value;                                                 \
        STATUS(RVL_STATUS_##status, rvl_ike_add_remote(left.ike, &wrong, now)); \
    } while (0)
    REMOTE(NULL, name, NULL);
    REMOTE(NULL, local, NULL);
    REMOTE(NULL, remote, NULL);
    REMOTE(NULL, local_id, NULL);
    REMOTE(BAD_ADDR_RANGE, remote, "peer.example");
    REMOTE(BAD_ID_TYPE, remote_id, "letter:x");
    REMOTE(NULL, secret, NULL);
    REMOTE(BAD_PARAM, secret_len, 0);
    REMOTE(BAD_PARAM, lifetime, 59);
    REMOTE(UNKNOWN_ALGORITHM, encryption, "AES128-GCM,ROT13");
    REMOTE(UNKNOWN_ALGORITHM, key_exchange, "MODP512");
    RvlPolicy bypass = {.id = 9, .action = RVL_BYPASS, .source = "any", .destination = "any"};
    STATUS(RVL_STATUS_BAD_PARAM, rvl_ike_add_policy(left.ike, &bypass, "x", NULL, NULL, NULL, now));
    STATUS(RVL_STATUS_NULL, rvl_ike_add_policy(left.ike, &bypass, NULL, NULL, NULL, NULL, now));
    RvlHandle freed = left.ike;
    host_free(&left);
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_timer(freed, now));
    host_free(&right);
}

/* The configuration as text, and none. */
static void administration(void)
{
    Host host;
    char text[1024];
    size_t length = 0, needed = 0;
    host_new(&host, 0, "a secret of two");
    OK(rvl_ike_print_policies(host.ike, text, sizeof text, &length));
    CHECK(length > 0 && text[length] == 0 && text[length - 1] == '\n');
    CHECK(strstr(text, "policy 5: ") == text && strstr(text, "192.0.2.2") != NULL && strstr(text, "; ESP: ") != NULL);
    STATUS(RVL_STATUS_TOO_SMALL, rvl_ike_print_policies(host.ike, text, length, &needed));
    CHECK(needed == length);
    STATUS(RVL_STATUS_TOO_SMALL, rvl_ike_print_policies(host.ike, NULL, 0, &needed));
    STATUS(RVL_STATUS_NULL, rvl_ike_print_policies(host.ike, text, sizeof text, NULL));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_print_policies(host.engine, text, sizeof text, &length));
    OK(rvl_ike_print_remotes(host.ike, text, sizeof text, &length));
    CHECK(strstr(text, "remote ") == text && strstr(text, "IKEv2 from 192.0.2.1") != NULL);
    CHECK(strstr(text, "secret") == NULL);
    OK(rvl_ike_delete_policies(host.ike, now));
    STATUS(RVL_STATUS_POLICY_NOT_FOUND, rvl_ike_delete_policy(host.ike, 5, now));
    OK(rvl_ike_delete_remotes(host.ike, now));
    OK(rvl_ike_print_policies(host.ike, text, sizeof text, &length));
    CHECK(length == 0 && text[0] == 0);
    OK(rvl_ike_print_remotes(host.ike, text, 1, &length));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_delete_policies(host.engine, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_delete_remotes(host.engine, now));
    host_free(&host);
}

int main(void)
{
    life_of_an_sa();
    administration();
    failures_are_told();
    hostile();
    puts("done");
    return 0;
}
