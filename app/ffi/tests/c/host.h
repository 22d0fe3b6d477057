/* Two hosts, each an engine and an IKE endpoint, and the network between them. */
#ifndef HOST_H
#define HOST_H

#include "common.h"

typedef struct {
    uint64_t seed[2];
    RvlHandle engine, ike;
    RvlEndpoint address;
    uint64_t deadline;
    int up, rekeyed, down, child_down, failed, granted, grant_ended, found, not_found;
    char text[256];
    /* What the peer gave last. */
    char grant[256];
    /* What was found last of a name. */
    char where[256];
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

static const char *const ADDRESS[] = {"192.0.2.1", "192.0.2.2"};
static const char *const NAME[] = {"fqdn:left.example", "fqdn:right.example"};
static const char *const NET[] = {"10.0.1.0/24", "10.0.2.0/24"};

static void host_open(Host *host, int which)
{
    memset(host, 0, sizeof *host);
    host->seed[0] = 77 + which;
    host->seed[1] = 99 + which;
    host->engine = engine_new(&host->seed[0]);
    host->address = endpoint((uint8_t)(which + 1), 500);
    OK(rvl_ike_new(test_random, &host->seed[1], now, &host->ike));
}

static void host_free(Host *host)
{
    OK(rvl_ike_free(host->ike));
    OK(rvl_engine_free(host->engine));
}

static void run(Host *from, Host *to);

/* Takes packets for RADIUS servers, where there are any. */
static void (*radius)(const RvlIkeOutput *output, const uint8_t *packet);

/* Looks names up, where there are any. */
static void (*resolver)(Host *host, const char *name);

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
    case RVL_IKE_EVENT_GRANTED:
        host->granted++;
        memcpy(host->grant, host->text, sizeof host->grant);
        break;
    case RVL_IKE_EVENT_GRANT_ENDED: host->grant_ended++; break;
    case RVL_IKE_EVENT_HOST_FOUND:
        host->found++;
        memcpy(host->where, host->text, sizeof host->where);
        break;
    case RVL_IKE_EVENT_HOST_NOT_FOUND: host->not_found++; break;
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
        if (output.kind == RVL_IKE_OUTPUT_KIND_RADIUS) {
            CHECK(radius != NULL);
            radius(&output, buffer);
            continue;
        }
        if (output.kind == RVL_IKE_OUTPUT_KIND_LOOK_UP) {
            CHECK(resolver != NULL && output.length < sizeof buffer);
            buffer[output.length] = 0;
            resolver(host, (const char *)buffer);
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

static RvlVerdict carry(Host *from, Host *to, uint8_t a, uint8_t b)
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

/* Where files are sought, and what was said of the lines. */
static const char *directory;
static char said[4096];
static size_t said_length;

static RvlStatus configure(const Host *host, const char *lines)
{
    return rvl_configure(host->ike, host->engine, (const uint8_t *)lines, strlen(lines), directory, now, said, sizeof said,
                         &said_length);
}

#endif
