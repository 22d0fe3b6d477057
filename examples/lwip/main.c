/* TCP over ESP on lwIP, a stack that is neither the system's nor ours: Ravelin's engine under it, keyed by Ravelin's IKEv2, from C.
 *
 *   ravelin-lwip LINK MAC ADDRESS GATEWAY INNER ADDRESS6 INNER6 PORT RC
 *
 * A host of its own on the Ethernet device LINK, which should have no address in the system: MAC, ADDRESS (with a /24) and ADDRESS6
 * (with a /64) are this program's, INNER and INNER6 are further addresses for the networks of tunnels. It returns what TCP sends to PORT, and protects what the lines of RC
 * say, as for `ravelin daemon --rc`; what no policy selects is dropped. Of the system it uses a clock, random bytes, threads and one
 * raw socket. Commands come a line each on standard input:
 *
 *   initiate POLICY                      initiating POLICY
 *   send FROM ADDRESS:PORT BYTES TEXT    sent ADDRESS:PORT BYTES when all came back, or failed ADDRESS:PORT WHY
 *   list                                 a line for each SA, then end
 *   quit, or the end of the input        deletes the SAs and ends
 *
 *   cc main.c protect.c keys.c -o ravelin-lwip $(pkg-config --cflags --libs lwip ravelin) -lpthread
 *
 * The protected link is protect.c, IKE is keys.c; here are the link, the shell and the traffic.
 */
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host.h"
#include "lwip/api.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/tcpip.h"
#include "netif/ethernet.h"

/* Bytes on their way at a time, and how long they may take to come. */
enum { PART = 8192, PATIENCE_MS = 30000 };
/* How long the link may be quiet before what other threads did is looked at, and peers may take to hear a farewell. */
enum { LOOK_MS = 20, FAREWELL_MS = 2000 };
enum { BURST = 64, FRAGMENTS = 64, MILLISECOND = 1000000 };

static int link_socket;
static struct netif link_netif, inner_netif;
static RvlHandle ike, engine;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int32_t random_bytes(void *context, uint8_t *out, size_t length)
{
    LWIP_UNUSED_ARG(context);
    return getrandom(out, length, 0) == (ssize_t)length ? 0 : -1;
}

/* netif->linkoutput: a frame, whole. A link that is busy drops, as links do. */
static err_t link_send(struct netif *netif, struct pbuf *frame)
{
    LWIP_UNUSED_ARG(netif);
    struct iovec parts[FRAGMENTS];
    int count = 0;
    for (struct pbuf *each = frame; each != NULL; each = each->next) {
        if (count == FRAGMENTS)
            return ERR_BUF;
        parts[count++] = (struct iovec){each->payload, each->len};
    }
    return writev(link_socket, parts, count) == frame->tot_len ? ERR_OK : ERR_IF;
}

static err_t link_init(struct netif *netif)
{
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = link_send;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6 | NETIF_FLAG_LINK_UP;
    protect_netif(netif, engine);
    return ERR_OK;
}

/* A netif that is there for its IPv4 address. Packets from it leave by the default route, and those for it arrive at the link. */
static err_t inner_init(struct netif *netif)
{
    netif->flags = NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void link_open(const char *name)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = lwip_htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
    link_socket = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, lwip_htons(ETH_P_ALL));
    if (at.sll_ifindex == 0 || link_socket < 0 || bind(link_socket, (struct sockaddr *)&at, sizeof at) < 0)
        die(name);
}

/* Hands in what has come over the link. */
static void link_receive(void)
{
    static uint8_t frame[UINT16_MAX];
    for (int i = 0; i < BURST; i++) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(link_socket, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (length < 0)
            return;
        /* PBUF_RAM: in Debian's lwIP 2.1.3 a pbuf of PBUF_POOL claims 1536 bytes and has 592. */
        struct pbuf *arrived = from.sll_pkttype == PACKET_OUTGOING ? NULL : pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM);
        if (arrived == NULL)
            continue;
        pbuf_take(arrived, frame, (u16_t)length);
        if (link_netif.input(arrived, &link_netif) != ERR_OK)
            pbuf_free(arrived);
    }
}

/* The thread of the link and of IKE. */
static void *run(void *unused)
{
    for (int pause = 0;;) {
        struct pollfd wait = {.fd = link_socket, .events = POLLIN};
        poll(&wait, 1, pause);
        LOCK_TCPIP_CORE();
        link_receive();
        uint64_t at = keys_poll(), from = now();
        UNLOCK_TCPIP_CORE();
        uint64_t rest = at > from ? (at - from) / MILLISECOND + 1 : 0;
        pause = rest < LOOK_MS ? (int)rest : LOOK_MS;
    }
    return unused;
}

/* Returns what each connection sends, one connection after the other. */
static void *serve(void *listener)
{
    struct netconn *peer;
    struct pbuf *data;
    for (;;) {
        if (netconn_accept(listener, &peer) != ERR_OK)
            continue;
        netconn_set_recvtimeout(peer, PATIENCE_MS);
        err_t sent = ERR_OK;
        while (sent == ERR_OK && netconn_recv_tcp_pbuf(peer, &data) == ERR_OK) {
            for (struct pbuf *each = data; each != NULL && sent == ERR_OK; each = each->next)
                sent = netconn_write(peer, each->payload, each->len, NETCONN_COPY);
            pbuf_free(data);
        }
        netconn_delete(peer);
    }
    return NULL;
}

/* Sends bytes, part by part, and checks that they come back. NULL, or what went wrong. */
static const char *there_and_back(struct netconn *peer, const ip_addr_t *to, u16_t port, const char *bytes, size_t count)
{
    if (netconn_connect(peer, to, port) != ERR_OK)
        return "it was refused or timed out";
    for (size_t sent = 0, back = 0; sent < count;) {
        size_t part = count - sent < PART ? count - sent : PART;
        if (netconn_write(peer, bytes + sent, part, NETCONN_COPY) != ERR_OK)
            return "it ended while sending";
        for (sent += part; back < sent;) {
            struct pbuf *data;
            if (netconn_recv_tcp_pbuf(peer, &data) != ERR_OK)
                return "it ended before all came back";
            u16_t length = data->tot_len;
            int same = length <= sent - back && pbuf_memcmp(data, 0, bytes + back, length) == 0;
            pbuf_free(data);
            if (!same)
                return "other bytes came back than were sent";
            back += length;
        }
    }
    return NULL;
}

static void send_text(const char *from, const char *to, size_t count, const char *text)
{
    char address[IPADDR_STRLEN_MAX] = "", *bytes = calloc(count, 1);
    unsigned port = 0;
    ip_addr_t source, destination;
    int six = *to == '[';
    struct netconn *peer = netconn_new(six ? NETCONN_TCP_IPV6 : NETCONN_TCP);
    const char *why = NULL;
    if (bytes == NULL || peer == NULL)
        die("memory");
    for (size_t i = 0, period = strlen(text); i < count; i++)
        bytes[i] = text[i % period];
    netconn_set_recvtimeout(peer, PATIENCE_MS);
    if (sscanf(to, six ? "[%45[0-9a-fA-F:]]:%u" : "%45[0-9.]:%u", address, &port) != 2 || !ipaddr_aton(address, &destination) ||
        !ipaddr_aton(from, &source))
        why = "expected send FROM ADDRESS:PORT BYTES TEXT, with IPv6 as [ADDRESS]:PORT";
    else if (netconn_bind(peer, &source, 0) != ERR_OK)
        why = "the source is none of this host's addresses";
    else
        why = there_and_back(peer, &destination, (u16_t)port, bytes, count);
    netconn_delete(peer);
    free(bytes);
    if (why == NULL)
        printf("sent %s %zu\n", to, count);
    else
        printf("failed %s %s\n", to, why);
}

/* How many bytes of SAs there are to print. */
static size_t list(char *text, size_t capacity)
{
    size_t length = 0;
    RvlStatus status = rvl_ike_print_sas(ike, engine, text, capacity, &length);
    if (status != RVL_STATUS_OK)
        fprintf(stderr, "listing: %s\n", rvl_status_text(status));
    return length;
}

/* False: it is to end. */
static int command(char *line)
{
    static char text[1 << 16];
    char *word[5] = {0}, *rest;
    int count = 0;
    uint32_t policy;
    for (char *at = strtok_r(line, " \n", &rest); at != NULL && count < 5; at = strtok_r(NULL, " \n", &rest))
        word[count++] = at;
    if (count == 1 && strcmp(word[0], "quit") == 0)
        return 0;
    if (count == 1 && strcmp(word[0], "list") == 0)
        printf("%.*send\n", (int)list(text, sizeof text), text);
    else if (count == 2 && strcmp(word[0], "initiate") == 0 && rvl_policy_named(ike, word[1], &policy) == RVL_STATUS_OK &&
             rvl_ike_initiate(ike, policy, now()) == RVL_STATUS_OK)
        printf("initiating %s\n", word[1]);
    else if (count == 5 && strcmp(word[0], "send") == 0)
        send_text(word[1], word[2], strtoul(word[3], NULL, 10), word[4]);
    else
        printf("error expected initiate POLICY, send FROM ADDRESS:PORT BYTES TEXT, list or quit\n");
    return 1;
}

static void configure(const char *path)
{
    static char lines[1 << 16], why[4096];
    FILE *file = fopen(path, "r");
    size_t length = file == NULL ? 0 : fread(lines, 1, sizeof lines, file);
    if (file == NULL || length == sizeof lines)
        die(path);
    fclose(file);
    RvlStatus status = rvl_configure(ike, engine, (const uint8_t *)lines, length, NULL, now(), why, sizeof why, NULL);
    fputs(why, stderr);
    if (status != RVL_STATUS_OK)
        exit(1);
}

static void ready(void *lock)
{
    sys_sem_signal(lock);
}

/* An IPv6 address of the link. It was given by hand and is in use at once: nobody is asked whether he has it too. */
static void add_address6(const ip6_addr_t *address)
{
    s8_t at;
    if (netif_add_ip6_address(&link_netif, address, &at) != ERR_OK)
        die("IPv6 addresses");
    netif_ip6_addr_set_state(&link_netif, at, IP6_ADDR_PREFERRED);
}

/* Brings up the stack, its addresses and what runs on it. */
static void start(char *const *argv)
{
    ip4_addr_t address, mask, gateway, inner, host;
    ip6_addr_t address6, inner6;
    struct ether_addr mac;
    sys_sem_t up;
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&host, 255, 255, 255, 255);
    if (ether_aton_r(argv[1], &mac) == NULL || !ip4addr_aton(argv[2], &address) || !ip4addr_aton(argv[3], &gateway) ||
        !ip4addr_aton(argv[4], &inner) || !ip6addr_aton(argv[5], &address6) || !ip6addr_aton(argv[6], &inner6))
        die("MAC ADDRESS GATEWAY INNER ADDRESS6 INNER6");
    if (sys_sem_new(&up, 0) != ERR_OK)
        die("lwIP");
    tcpip_init(ready, &up);
    sys_sem_wait(&up);
    sys_sem_free(&up);

    LOCK_TCPIP_CORE();
    memcpy(link_netif.hwaddr, &mac, sizeof mac);
    if (netif_add(&link_netif, &address, &mask, &gateway, NULL, link_init, protect_input) == NULL ||
        netif_add(&inner_netif, &inner, &host, NULL, NULL, inner_init, protect_input) == NULL)
        die("netif");
    netif_set_default(&link_netif);
    netif_set_up(&link_netif);
    netif_set_up(&inner_netif);
    /* Neighbor Discovery asks from the first address, the link's own. */
    netif_create_ip6_linklocal_address(&link_netif, 1);
    netif_ip6_addr_set_state(&link_netif, 0, IP6_ADDR_PREFERRED);
    add_address6(&address6);
    add_address6(&inner6);
    if (keys_open(ike, engine) != ERR_OK)
        die("ports of IKE");
    UNLOCK_TCPIP_CORE();

    /* Of both families, as IP6_ADDR_ANY says to lwIP. */
    struct netconn *listener = netconn_new(NETCONN_TCP_IPV6);
    pthread_t server, runner;
    if (listener == NULL || netconn_bind(listener, IP6_ADDR_ANY, (u16_t)atoi(argv[7])) != ERR_OK ||
        netconn_listen(listener) != ERR_OK || pthread_create(&server, NULL, serve, listener) != 0 ||
        pthread_create(&runner, NULL, run, NULL) != 0)
        die("threads");
}

int main(int argc, char **argv)
{
    RvlEngineConfig config = {.no_match = RVL_NO_MATCH_DISCARD, .random = random_bytes};
    char line[1024], rest[4096];
    if (argc != 10) {
        fprintf(stderr, "usage: %s LINK MAC ADDRESS GATEWAY INNER ADDRESS6 INNER6 PORT RC\n", argv[0]);
        return 2;
    }
    if (rvl_engine_new(&config, &engine) != RVL_STATUS_OK || rvl_ike_new(random_bytes, NULL, now(), &ike) != RVL_STATUS_OK)
        die("ravelin");
    configure(argv[9]);
    link_open(argv[1]);
    start(argv + 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin) != NULL && command(line))
        ;
    rvl_ike_terminate(ike, NULL, now());
    for (int waited = 0; waited < FAREWELL_MS && list(rest, sizeof rest) != 0; waited += LOOK_MS)
        usleep(LOOK_MS * 1000);
    /* Nothing of the stack runs on while its keys are wiped. */
    LOCK_TCPIP_CORE();
    rvl_ike_free(ike);
    rvl_engine_free(engine);
    return 0;
}
