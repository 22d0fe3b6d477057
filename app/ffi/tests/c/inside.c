/* Peers that are anywhere get addresses inside, from a pool, as lines say; and a user logs in whom a RADIUS server knows. */
#define _XOPEN_SOURCE 700
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

static const char *const GATEWAY =
    "ike pool -n inside -a 10.0.3.1-10.0.3.9 --dns 10.0.2.53 --domain example.org\n"
    "ike remote -n road -u -r any --local 192.0.2.2 -g fqdn:right.example -f *.example -h secret -d CURVE25519 "
    "-e AES128-CBC --pool inside\n"
    "ipsec policy -n net -g road -m tunnel -r any -s 10.0.2.0/24 -d internal -e AES128-GCM\n";

static void roam(Host *host, int which, const char *name)
{
    char lines[1024];
    host_open(host, which);
    int len = snprintf(lines, sizeof lines,
                       "ike remote -n other -w -r 192.0.2.2 --local 192.0.2.%d -g fqdn:%s.example -f fqdn:right.example "
                       "-h secret -d CURVE25519 -e AES128-CBC --vip any\n"
                       "ipsec policy -n net -g other -m tunnel -r 192.0.2.2 -s internal -d 10.0.2.0/24 -e AES128-GCM --start now\n",
                       which + 1, name);
    CHECK(len > 0 && (size_t)len < sizeof lines);
    if (configure(host, lines) != RVL_STATUS_OK) {
        fprintf(stderr, "%s%s", lines, said);
        exit(1);
    }
}

static void pools(const Host *host, const char *words)
{
    char text[1024];
    size_t length;
    OK(rvl_ike_print_pools(host->ike, text, sizeof text, &length));
    if (strstr(text, words) == NULL) {
        fprintf(stderr, "%s: not in\n%s", words, text);
        exit(1);
    }
}

static void addresses_inside(void)
{
    Host right, left, third, again;
    char text[4096], same[4096];
    size_t length, needed;
    host_open(&right, 1);
    OK(configure(&right, GATEWAY));
    roam(&left, 0, "left");
    CHECK(carry(&left, &right, 3, 2) == RVL_VERDICT_DROP);
    run(&left, &right);
    run(&right, &left);
    CHECK(left.up == 1 && right.up == 1 && left.granted == 1 && right.granted == 0);
    CHECK(strcmp(left.grant, "other\nINTERNAL_IP4_ADDRESS 10.0.3.1\nINTERNAL_IP4_DNS 10.0.2.53\nINTERNAL_DNS_DOMAIN example.org") == 0);
    pools(&right, "pool inside: 9 addresses\n  10.0.3.1 fqdn:left.example in use\n");
    CHECK(carry(&left, &right, 3, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&right, &left, 2, 3) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&right, &left, 2, 4) == RVL_VERDICT_DROP);

    /* Another, from another place, has the next one. */
    roam(&third, 2, "third");
    run(&third, &right);
    run(&right, &third);
    CHECK(third.up == 1 && right.up == 2 && strstr(third.grant, "INTERNAL_IP4_ADDRESS 10.0.3.2\n") != NULL);
    pools(&right, "10.0.3.2 fqdn:third.example in use\n");
    CHECK(carry(&left, &right, 3, 2) == RVL_VERDICT_SECURE_TUNNEL);

    /* Lines for it all make the same again. */
    OK(rvl_commands(right.ike, text, sizeof text, &length));
    CHECK(strstr(text, "ike pool -n inside ") == text && strstr(text, " --pool inside") != NULL);
    host_open(&again, 1);
    OK(configure(&again, text));
    OK(rvl_commands(again.ike, same, sizeof same, &length));
    CHECK(strcmp(text, same) == 0);
    host_free(&again);

    /* With the SAs go what they brought. */
    OK(rvl_ike_terminate(left.ike, "other", now));
    run(&left, &right);
    run(&right, &left);
    CHECK(left.grant_ended == 1 && left.down == 1 && right.down == 1);
    CHECK(carry(&left, &right, 3, 2) == RVL_VERDICT_DROP);
    /* The policy is about the pool as long as anybody has an address of it. */
    CHECK(carry(&right, &left, 2, 3) == RVL_VERDICT_HOLD);
    pools(&right, "10.0.3.1 fqdn:left.example kept\n");
    OK(rvl_ike_terminate(right.ike, NULL, now));
    run(&right, &third);
    run(&third, &right);
    CHECK(third.grant_ended == 1 && third.down == 1);
    CHECK(carry(&right, &left, 2, 3) == RVL_VERDICT_DROP);

    STATUS(RVL_STATUS_TOO_SMALL, rvl_ike_print_pools(right.ike, text, 3, &needed));
    STATUS(RVL_STATUS_NULL, rvl_ike_print_pools(right.ike, text, sizeof text, NULL));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_print_pools(right.engine, text, sizeof text, &needed));
    host_free(&left);
    host_free(&third);
    host_free(&right);
}

/* The sockets to RADIUS servers, each connected to its own. */
static struct {
    int fd;
    RvlEndpoint server;
    uint32_t number;
} sockets[8];
static int opened;

static int is_of(int at, const RvlIkeOutput *output)
{
    const RvlEndpoint *server = &sockets[at].server;
    return server->port == output->remote.port && sockets[at].number == output->socket &&
           memcmp(server->address.bytes, output->remote.address.bytes, 4) == 0;
}

static void to_server(const RvlIkeOutput *output, const uint8_t *packet)
{
    int at = 0;
    while (at < opened && !is_of(at, output))
        at++;
    if (at == opened) {
        struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(output->remote.port)};
        memcpy(&server.sin_addr, output->remote.address.bytes, 4);
        CHECK(opened < 8 && output->socket < RVL_RADIUS_SOCKETS);
        sockets[at].server = output->remote;
        sockets[at].number = output->socket;
        sockets[at].fd = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(connect(sockets[at].fd, (struct sockaddr *)&server, sizeof server) == 0);
        opened++;
    }
    /* What is refused is seen when something is received. */
    (void)!write(sockets[at].fd, packet, output->length);
}

/* Until nothing comes of the servers any more. */
static void serve(Host *gateway, Host *user)
{
    for (int quiet = 0; quiet < 2;) {
        struct pollfd waits[8];
        for (int i = 0; i < opened; i++)
            waits[i] = (struct pollfd){.fd = sockets[i].fd, .events = POLLIN};
        /* FreeRADIUS keeps a reject back for a second. */
        if (poll(waits, (nfds_t)opened, 1500) <= 0) {
            quiet++;
            continue;
        }
        for (int i = 0; i < opened; i++) {
            uint8_t packet[4096];
            if (waits[i].revents == 0)
                continue;
            ssize_t length = read(sockets[i].fd, packet, sizeof packet);
            if (length < 0) {
                CHECK(errno == ECONNREFUSED);
                OK(rvl_ike_radius_unreachable(gateway->ike, &sockets[i].server, now));
            } else {
                /* Somebody else's is no answer. */
                packet[4] ^= 1;
                OK(rvl_ike_radius_receive(gateway->ike, &sockets[i].server, sockets[i].number, packet, (size_t)length));
                packet[4] ^= 1;
                OK(rvl_ike_radius_receive(gateway->ike, &sockets[i].server, sockets[i].number, packet, (size_t)length));
            }
        }
        run(gateway, user);
        run(user, gateway);
        if (user->up + user->failed > 0)
            return;
    }
}

static void log_in(Host *user, Host *gateway, const char *port, const char *password)
{
    char lines[1024];
    host_open(user, 0);
    host_open(gateway, 1);
    snprintf(lines, sizeof lines,
             "ce x509 -a ca.pem -d 1\n"
             "ike remote -n other -w -r 192.0.2.2 --local 192.0.2.1 -m EAP-MSCHAPV2 --eap-id keyid:carol -g fqdn:left.example "
             "-f fqdn:right.example -h %s\n"
             "ipsec policy -n net -g other -m tunnel -r 192.0.2.2 -s 10.0.1.0/24 -d 10.0.2.0/24 -e AES128-GCM\n",
             password);
    OK(configure(user, lines));
    snprintf(lines, sizeof lines,
             "ce x509 -a ca.pem -d 1\nce x509 -a right.pem -d 1 -k right.key\n"
             "ike remote -n road -u -r 192.0.2.1 --local 192.0.2.2 -m EAP-RADIUS --radius 127.0.0.2:%s,127.0.0.1:%s "
             "-g fqdn:right.example -c right.pem -h shared\n"
             "ipsec policy -n net -g road -m tunnel -r 192.0.2.1 -s 10.0.2.0/24 -d 10.0.1.0/24 -e AES128-GCM\n",
             port, port);
    if (configure(gateway, lines) != RVL_STATUS_OK) {
        fprintf(stderr, "%s%s", lines, said);
        exit(1);
    }
    CHECK(carry(user, gateway, 1, 2) == RVL_VERDICT_HOLD);
    run(user, gateway);
    run(gateway, user);
    serve(gateway, user);
}

static void close_sockets(void)
{
    while (opened > 0)
        close(sockets[--opened].fd);
}

static void users_of_radius(const char *port)
{
    Host user, gateway;
    uint8_t packet[20] = {0};
    radius = to_server;
    log_in(&user, &gateway, port, "password");
    if (user.up != 1 || gateway.up != 1) {
        fprintf(stderr, "%s; %s\n", user.text, gateway.text);
        exit(1);
    }
    CHECK(carry(&user, &gateway, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&gateway, &user, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);
    /* The session lasts as long as the server said: a hundred seconds. */
    uint64_t began = now;
    until(&user, &gateway, began + 99 * SECOND);
    CHECK(user.down == 0 && carry(&user, &gateway, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    until(&user, &gateway, began + 101 * SECOND);
    CHECK(user.down == 1 && gateway.down == 1);
    STATUS(RVL_STATUS_NULL, rvl_ike_radius_receive(gateway.ike, NULL, 0, packet, sizeof packet));
    STATUS(RVL_STATUS_NULL, rvl_ike_radius_receive(gateway.ike, &gateway.address, 0, NULL, 1));
    STATUS(RVL_STATUS_BAD_PARAM, rvl_ike_radius_receive(gateway.ike, &gateway.address, RVL_RADIUS_SOCKETS, packet, sizeof packet));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_radius_receive(gateway.engine, &gateway.address, 0, packet, sizeof packet));
    OK(rvl_ike_radius_receive(gateway.ike, &gateway.address, 0, packet, sizeof packet));
    OK(rvl_ike_radius_receive(gateway.ike, &gateway.address, 0, NULL, 0));
    STATUS(RVL_STATUS_NULL, rvl_ike_radius_unreachable(gateway.ike, NULL, now));
    STATUS(RVL_STATUS_BAD_HANDLE, rvl_ike_radius_unreachable(gateway.engine, &gateway.address, now));
    host_free(&user);
    host_free(&gateway);
    close_sockets();

    log_in(&user, &gateway, port, "wrong");
    CHECK(user.up == 0 && gateway.up == 0 && strstr(gateway.text, "the RADIUS server refuses") != NULL);
    host_free(&user);
    host_free(&gateway);
    close_sockets();
}

int main(void)
{
    directory = getenv("RAVELIN_PAPERS");
    CHECK(directory != NULL);
    addresses_inside();
    const char *port = getenv("RAVELIN_RADIUS");
    if (port != NULL)
        users_of_radius(port);
    puts("done");
    return 0;
}
