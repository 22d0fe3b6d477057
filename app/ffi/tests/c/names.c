/* A peer is given by its name, in lines and in a struct; the program is the resolver. */
#define _XOPEN_SOURCE 700
#include "host.h"

static const char *const LEFT =
    "ike remote -n other -w -r gw.lab --local 192.0.2.1 -g fqdn:left.example -f fqdn:right.example -h secret -d CURVE25519 "
    "-e AES128-CBC\n"
    "ipsec policy -n net -g other -m tunnel -r gw.lab -s 10.0.1.0/24 -d 10.0.2.0/24 -e AES128-GCM\n";
static const char *const RIGHT =
    "ike remote -n other -u -r 192.0.2.1 --local 192.0.2.2 -g fqdn:right.example -f fqdn:left.example -h secret -d CURVE25519 "
    "-e AES128-CBC\n"
    "ipsec policy -n net -g other -m tunnel -r 192.0.2.1 -s 10.0.2.0/24 -d 10.0.1.0/24 -e AES128-GCM\n";

/* The last byte of the address where gw.lab is; 0: nowhere. */
static uint8_t place;
static int asked;

static void look_up(Host *host, const char *name)
{
    RvlAddress at = endpoint(place, 0).address, none = {.family = 5};
    CHECK(strcmp(name, "gw.lab") == 0);
    asked++;
    STATUS(RVL_STATUS_BAD_PARAM, rvl_ike_host_found(host->ike, "other.lab", &at, 1, now));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_ike_host_found(host->ike, "no name", &at, 1, now));
    STATUS(RVL_STATUS_BAD_ADDR_RANGE, rvl_ike_host_found(host->ike, name, &none, 1, now));
    STATUS(RVL_STATUS_NULL, rvl_ike_host_found(host->ike, NULL, &at, 1, now));
    STATUS(RVL_STATUS_NULL, rvl_ike_host_found(host->ike, name, NULL, 1, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_host_found(host->engine, name, &at, 1, now));
    OK(rvl_ike_host_found(host->ike, name, &at, place != 0, now));
    /* It is said once. */
    STATUS(RVL_STATUS_BAD_PARAM, rvl_ike_host_found(host->ike, name, &at, 1, now));
}

static void ends_agree(Host *left, Host *right)
{
    CHECK(left->up == 1 && right->up == 1);
    CHECK(carry(left, right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(right, left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);
}

static void of_lines(void)
{
    Host left, right;
    char text[2048];
    size_t length;
    place = 0;
    host_open(&left, 0);
    host_open(&right, 1);
    OK(configure(&right, RIGHT));
    OK(configure(&left, LEFT));
    run(&left, &right);
    CHECK(asked == 1 && left.found == 0 && left.not_found == 1 && strcmp(left.text, "gw.lab") == 0);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
    run(&left, &right);
    CHECK(left.failed == 1 && left.up == 0 && strstr(left.text, "gw.lab") != NULL);

    /* It is asked for again until it leads somewhere. */
    place = 2;
    until(&left, &right, now + 61 * SECOND);
    CHECK(left.found == 1 && strcmp(left.where, "gw.lab\n192.0.2.2") == 0);
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_HOLD);
    run(&left, &right);
    run(&right, &left);
    ends_agree(&left, &right);
    OK(rvl_commands(left.ike, text, sizeof text, &length));
    CHECK(strstr(text, "-r gw.lab") != NULL);
    host_free(&left);
    host_free(&right);
}

static void of_a_struct(void)
{
    Host left, right;
    place = 2;
    host_open(&left, 0);
    host_open(&right, 1);
    OK(configure(&right, RIGHT));
    RvlRemote remote = {
        .name = "other",
        .local = ADDRESS[0],
        .remote = "gw.lab",
        .local_id = NAME[0],
        .remote_id = NAME[1],
        .secret = (const uint8_t *)"a secret of two",
        .secret_len = 15,
        .encryption = "AES128-CBC",
        .key_exchange = "CURVE25519",
        .lifetime = 3600,
    };
    OK(rvl_ike_add_remote(left.ike, &remote, now));
    RvlPolicy policy = {
        .id = 5,
        .priority = 10,
        .action = RVL_PROTECT,
        .source = NET[0],
        .destination = NET[1],
        .endpoint = ADDRESS[1],
        .replay_window = 64,
        .lifetime = {.soft_seconds = 600, .hard_seconds = 700},
    };
    OK(rvl_add_policy(left.engine, &policy));
    OK(rvl_ike_add_policy(left.ike, &policy, "other", "AES128-GCM", NULL, NULL, now));
    OK(rvl_ike_initiate(left.ike, 5, now));
    run(&left, &right);
    run(&right, &left);
    ends_agree(&left, &right);
    host_free(&left);
    host_free(&right);

    host_open(&left, 0);
    remote.remote = "gw..lab";
    STATUS(RVL_STATUS_BAD_ADDR_RANGE, rvl_ike_add_remote(left.ike, &remote, now));
    host_free(&left);
}

int main(void)
{
    directory = getenv("RAVELIN_PAPERS");
    CHECK(directory != NULL);
    resolver = look_up;
    of_lines();
    of_a_struct();
    puts("done");
    return 0;
}
