/* Two IKE endpoints in one program key two engines: a packet asks for SAs, packets cross, SAs are replaced and ended. What
 * they are to do is said in structs, or in lines. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <unistd.h>

#include "host.h"

static void host_new(Host *host, int which, const char *secret)
{
    host_open(host, which);
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

static void life_of_an_sa(void)
{
    Host left, right;
    host_new(&left, 0, "a secret of two");
    host_new(&right, 1, "a secret of two");
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
    run(&left, &right);
    run(&right, &left);
    CHECK(left.up == 1 && right.up == 1);
    CHECK(datagrams == 4);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&right, &left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);

    /* SAs are replaced before they end, and traffic goes on. */
    for (int i = 0; i < 20; i++) {
        until(&left, &right, now + 100 * SECOND);
        CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
        CHECK(carry(&right, &left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);
    }
    CHECK(left.rekeyed + left.up >= 4 && left.failed == 0 && right.failed == 0);
    OK(rvl_ike_rekey(left.ike, 5, now));
    run(&left, &right);
    run(&right, &left);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);

    OK(rvl_ike_terminate(left.ike, NULL, now));
    run(&left, &right);
    run(&right, &left);
    CHECK(left.down >= 1 && right.down >= 1);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
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
    REMOTE(BAD_ADDR_RANGE, remote, "peer..example");
    REMOTE(BAD_ADDR_RANGE, remote, "192.0.2");
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

/* A folder with a secret. */
static char folder[] = "/tmp/ravelin-lines-XXXXXX";

static void lines_of(int which, int version, char *out, size_t capacity)
{
    const char *a = ADDRESS[which], *b = ADDRESS[!which];
    int len = snprintf(out, capacity,
                       "# both of the two\n"
                       "ike remote -n other -z %d -w -u -r %s --local %s -g %s -f %s -h secret \\\n -d CURVE25519 -e AES128-CBC\n"
                       "ipsec policy -n net -g other -m tunnel -r %s -s %s -d %s -e AES128-GCM\n"
                       "ipsec policy -n web --action bypass -p tcp -s any -d any,80 -l 3\n",
                       version, b, a, NAME[which], NAME[!which], b, NET[which], NET[!which]);
    CHECK(len > 0 && (size_t)len < capacity);
}

static void lines_key_two_engines(int version)
{
    Host left, right;
    char lines[1024], text[4096], again[4096];
    size_t length, same;
    host_open(&left, 0);
    host_open(&right, 1);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_DROP);
    lines_of(0, version, lines, sizeof lines);
    OK(configure(&left, lines));
    CHECK(said[said_length] == 0);
    lines_of(1, version, lines, sizeof lines);
    OK(configure(&right, lines));
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
    run(&left, &right);
    run(&right, &left);
    CHECK(left.up == 1 && right.up == 1 && left.failed == 0);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&right, &left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);

    /* A name has a number, and what is up is listed with what it has carried. */
    uint32_t number = 0;
    unsigned spi_in, spi_out, in_packets, out_packets;
    char state[16], *line;
    OK(rvl_policy_named(left.ike, "net", &number));
    CHECK(number >= RVL_FIRST_LINE_POLICY);
    STATUS(RVL_STATUS_POLICY_NOT_FOUND, rvl_policy_named(left.ike, "nothing", &number));
    STATUS(RVL_STATUS_NULL, rvl_policy_named(left.ike, NULL, &number));
    OK(rvl_ike_print_sas(left.ike, left.engine, text, sizeof text, &length));
    CHECK(strncmp(text, "ike ", 4) == 0 && strstr(text, " ESTABLISHED\n") != NULL && text[length] == 0);
    line = strstr(text, "\nchild ");
    CHECK(line != NULL);
    CHECK(sscanf(line, "\nchild %x %x %15s %u %u", &spi_in, &spi_out, state, &in_packets, &out_packets) == 5);
    CHECK(strcmp(state, "INSTALLED") == 0 && in_packets == 1 && out_packets == 1);
    OK(rvl_ike_print_sas(right.ike, right.engine, again, sizeof again, &length));
    snprintf(lines, sizeof lines, "\nchild %08x %08x INSTALLED 1 1\n", spi_out, spi_in);
    CHECK(strstr(again, lines) != NULL);
    STATUS(RVL_STATUS_TOO_SMALL, rvl_ike_print_sas(right.ike, right.engine, again, length, &length));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_print_sas(right.ike, right.ike, again, sizeof again, &length));

    /* The automatic policies let IKE pass: from port 500. */
    uint8_t clear[64], buffer[2048];
    size_t len = udp_packet(clear, 1, 2, 500, 8);
    clear[21] = 0xf4;
    RvlPacket packet = placed(buffer, sizeof buffer, clear, len);
    RvlResult result;
    OK(rvl_encapsulate(left.engine, &packet, now, &result));
    CHECK(result.verdict == RVL_VERDICT_BYPASS);

    /* What was configured is written as lines, which make the same again. */
    OK(rvl_commands(left.ike, text, sizeof text, &length));
    CHECK(strstr(text, "ike remote -n other") == text && strstr(text, "\nipsec policy -n net -g other") != NULL);
    CHECK(strstr(text, "ipsec policy -n web --action bypass -p tcp -s any -d any,80 -l 3\n") != NULL);
    Host third;
    host_open(&third, 0);
    OK(configure(&third, text));
    OK(rvl_commands(third.ike, again, sizeof again, &same));
    CHECK(same == length && strcmp(text, again) == 0);
    host_free(&third);

    /* Structs and lines are beside each other. */
    OK(rvl_ike_print_policies(left.ike, text, sizeof text, &length));
    CHECK(strstr(text, "with other") != NULL);
    OK(rvl_ike_print_remotes(left.ike, text, sizeof text, &length));
    CHECK(strstr(text, "remote other: ") == text);
    RvlRemote remote = {.name = "other", .local = "192.0.2.1", .remote = "192.0.2.9", .local_id = "192.0.2.1",
                        .remote_id = "192.0.2.9", .secret = clear, .secret_len = 5, .lifetime = 60};
    STATUS(RVL_STATUS_EXIST, rvl_ike_add_remote(left.ike, &remote, now));
    remote.name = "typed";
    OK(rvl_ike_add_remote(left.ike, &remote, now));
    STATUS(RVL_STATUS_EXIST, configure(&left, "ike remote -n typed -u -r 192.0.2.9 -g fqdn:a -h secret"));
    CHECK(strstr(said, "there is a remote typed already") == said);
    OK(rvl_commands(left.ike, text, sizeof text, &length));
    CHECK(strstr(text, "\n# the remote typed has no line\n") != NULL);
    STATUS(RVL_STATUS_POLICY_NOT_FOUND, rvl_ike_delete_remote(left.ike, "other", now));

    /* What lines made, lines delete, with its SAs. */
    OK(configure(&left, "ipsec policy -x net"));
    run(&left, &right);
    run(&right, &left);
    CHECK(left.child_down == 1 && right.child_down == 1);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_DROP);
    host_free(&left);
    host_free(&right);
}

static void sas_by_hand(void)
{
    static const char *const LINE =
        "ipsec addsa -m tunnel -r %s --local %s -s %s -d %s -w %d -x %d -e AES128-CBC -f %s -g %s -a HMAC-SHA-1 -b %s -c %s\n";
    static const char *const KEY[] = {"000102030405060708090a0b0c0d0e0f", "f00102030405060708090a0b0c0d0e0f"};
    static const char *const MAC[] = {"000102030405060708090a0b0c0d0e0f10111213", "f00102030405060708090a0b0c0d0e0f10111213"};
    Host host[2];
    char line[1024], text[1024];
    size_t length;
    for (int i = 0; i < 2; i++) {
        host_open(&host[i], i);
        snprintf(line, sizeof line, LINE, ADDRESS[!i], ADDRESS[i], NET[i], NET[!i], 300 + i, 300 + !i, KEY[i], KEY[!i], MAC[i],
                 MAC[!i]);
        OK(configure(&host[i], line));
    }
    CHECK(carry(&host[0], &host[1], 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&host[1], &host[0], 2, 1) == RVL_VERDICT_SECURE_TUNNEL);
    OK(rvl_commands(host[0].ike, text, sizeof text, &length));
    CHECK(strstr(text, "# the SA ") == text && strstr(text, "00010203") == NULL);
    OK(configure(&host[0], "ipsec delsa -s 10.0.1.0/24 -d 10.0.2.0/24"));
    CHECK(carry(&host[0], &host[1], 1, 2) == RVL_VERDICT_DROP);
    STATUS(RVL_STATUS_SA_NOT_FOUND, rvl_delete_sa(host[0].engine, RVL_OUTBOUND, 301, "192.0.2.2"));
    STATUS(RVL_STATUS_SA_NOT_FOUND, rvl_delete_sa(host[0].engine, RVL_INBOUND, 300, "192.0.2.1"));
    host_free(&host[0]);
    host_free(&host[1]);
}

static void all_or_nothing(void)
{
    Host host;
    char text[1024];
    size_t length;
    host_open(&host, 0);
    STATUS(RVL_STATUS_BAD_PARAM, configure(&host, "ipsec policy -n a --action bypass -s any -d any\n"
                                                  "\n  ipsec policy -n b --action bypass -s any -d 10.0.0.0/33\n"));
    CHECK(strncmp(said, "lines:3:56: ", 12) == 0);
    CHECK(strlen(said) == said_length);
    static const struct {
        const char *line, *words;
    } REFUSED[] = {
        {"ipsec policy -n a -s any -d any -m tunnel -r 192.0.2.9 -g nobody", "which is not configured"},
        {"ike netstat", "lines:1:1: expected a line that configures"},
        {"vti add vti0 --key 20 --remote 192.0.2.9", "virtual interfaces take a daemon"},
        {"ike remote -n r -u -r 192.0.2.9 -g fqdn:a -h nothing", "nothing"},
        {"ike remote -n r -w -r 192.0.2.9 -m RSASIG -c nothing.pem", "nothing.pem"},
        {"ipsec addsa -m tunnel -r 192.0.2.9 -s any -d any -y 300 -z 301 -a HMAC-SHA-1 "
         "-b 000102030405060708090a0b0c0d0e0f10111213 -c 000102030405060708090a0b0c0d0e0f10111214",
         "give --local"},
        {"call nothing", "nothing"},
        {"\xff", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        STATUS(RVL_STATUS_BAD_PARAM, configure(&host, REFUSED[i].line));
        if (strstr(said, REFUSED[i].words) == NULL) {
            fprintf(stderr, "%s: %s\n", REFUSED[i].line, said);
            exit(1);
        }
    }
    OK(rvl_commands(host.ike, text, sizeof text, &length));
    CHECK(length == 0 && text[0] == 0);
    CHECK(carry(&host, &host, 1, 2) == RVL_VERDICT_DROP);

    /* An engine that has not room for all of it has none of it. */
    RvlEngineConfig small = {.random = test_random, .random_context = &host.seed[0], .max_policies = 6};
    Host full = host;
    OK(rvl_engine_new(&small, &full.engine));
    const char *two = "ipsec policy -n a --action bypass -s 10.0.1.0/24 -d any\nipsec policy -n b --action discard -s any -d any";
    STATUS(RVL_STATUS_OUT_OF_POLICIES, configure(&full, two));
    CHECK(strstr(said, "nothing was changed: ") == said);
    CHECK(carry(&full, &full, 1, 2) == RVL_VERDICT_BYPASS);
    OK(configure(&full, "ipsec policy -n b --action discard -s any -d any"));
    CHECK(carry(&full, &full, 1, 2) == RVL_VERDICT_DROP);
    STATUS(RVL_STATUS_OUT_OF_POLICIES, configure(&full, "ipsec policy -n c --action discard -s any -d any"));
    OK(configure(&full, "ipsec policy -x b"));
    CHECK(carry(&full, &full, 1, 2) == RVL_VERDICT_BYPASS);
    OK(rvl_engine_free(full.engine));

    /* Arguments. */
    const uint8_t *line = (const uint8_t *)"ipsec policy -x";
    STATUS(RVL_STATUS_NULL, rvl_configure(host.ike, host.engine, NULL, 1, NULL, now, said, sizeof said, &length));
    STATUS(RVL_STATUS_NULL, rvl_configure(host.ike, host.engine, line, 15, NULL, now, NULL, 1, &length));
    STATUS(RVL_STATUS_BAD_POINTER, rvl_configure(host.ike, host.engine, line, SIZE_MAX, NULL, now, NULL, 0, NULL));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_configure(host.ike, host.engine, line, 15, NULL, now, NULL, 0, NULL));
    memset(text, 'x', sizeof text);
    STATUS(RVL_STATUS_BAD_PARAM, rvl_configure(host.ike, host.engine, line, 15, NULL, now, text, 7, &length));
    CHECK(strcmp(text, "lines:") == 0 && length > 20 && text[7] == 'x');
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_configure(host.engine, host.ike, line, 15, NULL, now, text, sizeof text, &length));
    CHECK(text[0] == 0 && length == 0);
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_configure(host.ike, host.ike, line, 15, NULL, now, NULL, 0, NULL));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_commands(host.engine, text, sizeof text, &length));
    STATUS(RVL_STATUS_NULL, rvl_commands(host.ike, text, sizeof text, NULL));
    RvlPolicy policy = {.id = RVL_FIRST_LINE_POLICY, .action = RVL_BYPASS, .source = "any", .destination = "any"};
    STATUS(RVL_STATUS_BAD_PARAM, rvl_add_policy(host.engine, &policy));
    host_free(&host);
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_configure(host.ike, host.engine, line, 15, NULL, now, NULL, 0, NULL));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_commands(host.ike, text, sizeof text, &length));
}

static void lines(void)
{
    char path[sizeof folder + 8];
    CHECK(mkdtemp(folder) != NULL);
    directory = folder;
    snprintf(path, sizeof path, "%s/secret", folder);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(file >= 0 && write(file, "a secret of two\n", 16) == 16 && close(file) == 0);
    lines_key_two_engines(2);
    lines_key_two_engines(1);
    sas_by_hand();
    all_or_nothing();
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

int main(void)
{
    life_of_an_sa();
    administration();
    failures_are_told();
    hostile();
    lines();
    puts("done");
    return 0;
}
