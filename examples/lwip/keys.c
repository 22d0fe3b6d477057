/* Key management: the IKE endpoint, with lwIP's UDP for its messages and the engine as data plane. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host.h"
#include "lwip/ip.h"
#include "lwip/udp.h"

/* IKE, and IKE beside ESP in UDP (RFC 7296 §2.23). */
enum { IKE_PORT = 500, NAT_PORT = 4500 };
enum { SECOND = 1000000000 };

static RvlHandle ike, engine;
static struct udp_pcb *sockets[2];
static uint64_t deadline;
/* One message at a time, either way. */
static uint8_t message[UINT16_MAX];

uint64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static RvlEndpoint endpoint(const ip_addr_t *address, u16_t port)
{
    RvlEndpoint made = {.address = {.family = IP_IS_V6(address) ? 6 : 4}, .port = port};
    if (IP_IS_V6(address))
        memcpy(made.address.bytes, ip_2_ip6(address)->addr, 16);
    else
        memcpy(made.address.bytes, &ip_2_ip4(address)->addr, 4);
    return made;
}

/* ESP on port 4500 never gets here: the engine has opened it. */
static void receive(void *unused, struct udp_pcb *socket, struct pbuf *datagram, const ip_addr_t *from, u16_t port)
{
    LWIP_UNUSED_ARG(unused);
    RvlEndpoint local = endpoint(ip_current_dest_addr(), socket->local_port), remote = endpoint(from, port);
    u16_t length = pbuf_copy_partial(datagram, message, datagram->tot_len, 0);
    pbuf_free(datagram);
    /* What is no message of IKE's is refused, and was somebody's mistake or malice. */
    (void)rvl_ike_receive(ike, &local, &remote, message, length, now());
}

/* A message that cannot be sent is lost, as on any link; IKE repeats it. */
static void transmit(const RvlIkeOutput *output)
{
    struct pbuf *datagram = pbuf_alloc(PBUF_TRANSPORT, (u16_t)output->length, PBUF_RAM);
    if (datagram == NULL)
        return;
    int six = output->remote.address.family == 6;
    ip_addr_t to = {.type = six ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4};
    if (six)
        memcpy(ip_2_ip6(&to)->addr, output->remote.address.bytes, 16);
    else
        memcpy(&ip_2_ip4(&to)->addr, output->remote.address.bytes, 4);
    pbuf_take(datagram, message, (u16_t)output->length);
    udp_sendto(sockets[output->local.port == NAT_PORT], datagram, &to, output->remote.port);
    pbuf_free(datagram);
}

err_t keys_open(RvlHandle with, RvlHandle of)
{
    ike = with;
    engine = of;
    for (int i = 0; i < 2; i++) {
        sockets[i] = udp_new_ip_type(IPADDR_TYPE_ANY);
        err_t bound = sockets[i] == NULL ? ERR_MEM : udp_bind(sockets[i], IP_ANY_TYPE, i == 0 ? IKE_PORT : NAT_PORT);
        if (bound != ERR_OK)
            return bound;
        udp_recv(sockets[i], receive, NULL);
    }
    return ERR_OK;
}

uint64_t keys_poll(void)
{
    uint64_t engine_at = UINT64_MAX;
    RvlIkeOutput output;
    rvl_engine_tick(engine, now(), &engine_at);
    rvl_ike_follow(ike, engine, now());
    if (deadline <= now())
        rvl_ike_timer(ike, now());
    /* In their order: an SA is in the engine before the message goes out that makes the peer use it. */
    while (rvl_ike_poll(ike, engine, now(), &output, message, sizeof message) == RVL_STATUS_OK) {
        switch (output.kind) {
        case RVL_IKE_OUTPUT_KIND_TRANSMIT:
            transmit(&output);
            break;
        case RVL_IKE_OUTPUT_KIND_EVENT:
            fprintf(stderr, "event %d policy %u %.*s\n", output.event, output.policy, (int)output.length, (const char *)message);
            if (output.event == RVL_IKE_EVENT_CHILD_UP)
                protect_release();
            break;
        case RVL_IKE_OUTPUT_KIND_WAIT:
            deadline = output.deadline;
            return deadline < engine_at ? deadline : engine_at;
        default: /* No server for RADIUS is configured. */
            break;
        }
    }
    fprintf(stderr, "IKE is out of order\n");
    return engine_at;
}
