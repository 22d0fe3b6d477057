/* The port: the engine between lwIP's IPv4 and IPv6 and a link. Read this first.
 *
 *   TCP, UDP ─► ip4_output ─► netif->output = outbound4 ─────┐
 *   TCP, UDP ─► ip6_output ─► netif->output_ip6 = outbound6 ─┴─► rvl_encapsulate ─► link's output of the new destination's family
 *   TCP, UDP ◄─ ip_input ◄─ rvl_decapsulate[_chain] ◄─ ip4_reass, ip6_reass ◄─ netif->input = protect_input ◄─ link
 *
 * All are members of a netif, so an lwIP as it is installed does; nothing of it is compiled anew.
 *
 * Who may write to a pbuf decides how its packet gets to the engine:
 *  - A packet that leaves is TCP's still, which sends it again when it is lost, or an application's. So it is copied, once, to
 *    where there is room around it for what protection adds. lwIP built as here makes packets of one pbuf, which has room for
 *    the headers that lwIP knows of and for no more.
 *  - A packet that arrived is this netif's own and is opened where it lies. In one pbuf, as the link's driver makes it, that is
 *    rvl_decapsulate; one that came in fragments is a chain, for rvl_decapsulate_chain.
 */
#include <string.h>

#include "host.h"
#include "lwip/etharp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/prot/ethernet.h"
#include "netif/ethernet.h"

/* Packets that wait for an SA; one more pushes the oldest out. */
enum { HELD = 16 };
/* pbufs of a packet that came in fragments: lwIP keeps no more. */
enum { PIECES = IP_REASS_MAX_PBUFS };

/* A flag of a pbuf that lwIP leaves free: the engine has decided, and the packet is for the link as it is. Neighbor Discovery keeps
 * packets while it looks for the next hop, and gives them to netif->output_ip6 again then. ARP goes on behind the hook. */
enum { DECIDED = 0x80 };

static RvlHandle engine;
static netif_output_fn link_output4;
static netif_output_ip6_fn link_output6;

/* A clear packet with room around it. */
struct held {
    struct netif *netif;
    struct pbuf *room;
    u16_t length;
};

static struct held held[HELD];
static unsigned held_count;

static err_t outbound4(struct netif *netif, struct pbuf *clear, const ip4_addr_t *to);
static err_t outbound6(struct netif *netif, struct pbuf *clear, const ip6_addr_t *to);

/* Sends a packet over the link, which resolves the destination that is in its header now. */
static err_t to_link(struct netif *netif, struct pbuf *packet)
{
    const struct ip_hdr *header = packet->payload;
    if (IPH_V(header) == 6) {
        ip6_addr_t to;
        ip6_addr_copy_from_packed(to, ((const struct ip6_hdr *)packet->payload)->dest);
        ip6_addr_assign_zone(&to, IP6_UNKNOWN, netif);
        packet->flags |= DECIDED;
        return link_output6(netif, packet, &to);
    }
    ip4_addr_t to;
    ip4_addr_copy(to, header->dest);
    return link_output4(netif, packet, &to);
}

/* netif->output_ip6 of a fragment. It refers to the packet that is cut: a copy of it can wait for the next hop, with its flag. */
static err_t fragment6(struct netif *netif, struct pbuf *fragment, const ip6_addr_t *to)
{
    LWIP_UNUSED_ARG(to);
    struct pbuf *own = pbuf_clone(PBUF_LINK, PBUF_RAM, fragment);
    if (own == NULL)
        return ERR_MEM;
    err_t sent = to_link(netif, own);
    pbuf_free(own);
    return sent;
}

/* Sends a protected packet that is longer than the link takes in fragments. */
static err_t cut6(struct netif *netif, struct pbuf *packet)
{
    ip6_addr_t to;
    ip6_addr_copy_from_packed(to, ((const struct ip6_hdr *)packet->payload)->dest);
    ip6_addr_assign_zone(&to, IP6_UNKNOWN, netif);
    netif->mtu6 = LINK_MTU;
    netif->output_ip6 = fragment6;
    err_t sent = ip6_frag(packet, netif, &to);
    netif->output_ip6 = outbound6;
    netif->mtu6 = 0;
    return sent;
}

/* Sends an IPv4 packet in fragments of at most `mtu` bytes, each by `output`. */
static err_t cut4(struct netif *netif, struct pbuf *packet, u16_t mtu, netif_output_fn output)
{
    const struct ip_hdr *header = packet->payload;
    if (IPH_OFFSET(header) & PP_HTONS(IP_DF))
        return ERR_VAL;
    ip4_addr_t to;
    ip4_addr_copy(to, header->dest);
    netif->mtu = mtu;
    netif->output = output;
    err_t sent = ip4_frag(packet, netif, &to);
    netif->output = outbound4;
    netif->mtu = 0;
    return sent;
}

/* Sends a packet about which the engine has decided, in fragments where the link takes no more. */
static err_t send(struct netif *netif, struct pbuf *packet)
{
    if (packet->tot_len <= LINK_MTU)
        return to_link(netif, packet);
    return IPH_V((const struct ip_hdr *)packet->payload) == 6 ? cut6(netif, packet) : cut4(netif, packet, LINK_MTU, link_output4);
}

/* Keeps a packet until there is an SA for it. */
static void hold(struct held packet)
{
    if (held_count == HELD) {
        pbuf_free(held[0].room);
        memmove(held, held + 1, --held_count * sizeof *held);
    }
    held[held_count++] = packet;
}

/* Has the engine decide about a clear packet, and does what it says. The packet is gone then, or held. */
static err_t offer(struct held clear)
{
    struct pbuf *out = clear.room;
    RvlPacket packet = {.buffer = out->payload, .capacity = out->len, .offset = RVL_HEADROOM, .length = clear.length};
    RvlResult result = {.verdict = RVL_VERDICT_DROP};
    err_t sent = ERR_RTE;
    if (rvl_encapsulate(engine, &packet, now(), &result) == RVL_STATUS_OK && result.verdict == RVL_VERDICT_HOLD) {
        hold(clear);
        return ERR_OK;
    }
    pbuf_remove_header(out, packet.offset);
    pbuf_realloc(out, (u16_t)packet.length);
    switch (result.verdict) {
    case RVL_VERDICT_DROP:
        break;
    case RVL_VERDICT_FRAGMENT:
        /* Of IPv6 the sender alone cuts, who is told. */
        sent = cut4(clear.netif, out, result.fragment_size, outbound4);
        break;
    case RVL_VERDICT_TOO_BIG:
        /* The ICMP message to the sender, as if it had arrived, once lwIP is done with what it is at. */
        sent = netif_loop_output(clear.netif, out);
        break;
    default:
        sent = send(clear.netif, out);
    }
    pbuf_free(out);
    return sent;
}

/* A packet that was routed, with its header complete, not yet cut. */
static err_t outbound(struct netif *netif, struct pbuf *clear)
{
    u32_t room = RVL_HEADROOM + (u32_t)clear->tot_len + RVL_TAILROOM;
    struct pbuf *own = room <= UINT16_MAX ? pbuf_alloc(PBUF_LINK, (u16_t)room, PBUF_RAM) : NULL;
    if (own == NULL)
        return ERR_MEM;
    pbuf_copy_partial(clear, (uint8_t *)own->payload + RVL_HEADROOM, clear->tot_len, 0);
    return offer((struct held){netif, own, clear->tot_len});
}

/* netif->output; `to` is in the packet's header too. */
static err_t outbound4(struct netif *netif, struct pbuf *clear, const ip4_addr_t *to)
{
    LWIP_UNUSED_ARG(to);
    return outbound(netif, clear);
}

/* netif->output_ip6. */
static err_t outbound6(struct netif *netif, struct pbuf *clear, const ip6_addr_t *to)
{
    return clear->flags & DECIDED ? link_output6(netif, clear, to) : outbound(netif, clear);
}

void protect_release(void)
{
    struct held waiting[HELD];
    unsigned count = held_count;
    memcpy(waiting, held, sizeof held);
    held_count = 0;
    for (unsigned i = 0; i < count; i++)
        offer(waiting[i]);
}

/* Whether an IPv4 packet begins here whose header is sound; what a short frame was filled up with is cut off. */
static int is_sound4(struct pbuf *packet)
{
    const struct ip_hdr *header = packet->payload;
    if (packet->len < IP_HLEN || IPH_V(header) != 4)
        return 0;
    u16_t own = IPH_HL_BYTES(header), length = lwip_ntohs(IPH_LEN(header));
    if (own < IP_HLEN || own > packet->len || length < own || length > packet->tot_len || inet_chksum(header, own) != 0)
        return 0;
    pbuf_realloc(packet, length);
    return 1;
}

/* The same of IPv6. */
static int is_sound6(struct pbuf *packet)
{
    const struct ip6_hdr *header = packet->payload;
    if (packet->len < IP6_HLEN || IP6H_V(header) != 6 || IP6H_PLEN(header) > packet->tot_len - IP6_HLEN)
        return 0;
    pbuf_realloc(packet, (u16_t)(IP6_HLEN + IP6H_PLEN(header)));
    return 1;
}

/* A packet that is no fragment, or the one that was complete with this fragment; else NULL. */
static struct pbuf *whole4(struct pbuf *packet)
{
    const struct ip_hdr *header = packet->payload;
    return IPH_OFFSET(header) & PP_HTONS(IP_OFFMASK | IP_MF) ? ip4_reass(packet) : packet;
}

/* The same of IPv6. ip6_reass takes the header, and which netif it is, from where ip6_input would have put them. */
static struct pbuf *whole6(struct pbuf *packet, struct netif *netif)
{
    struct ip6_hdr *header = packet->payload;
    const u8_t *bytes = packet->payload;
    u8_t next = IP6H_NEXTH(header);
    u16_t at = IP6_HLEN;
    while ((next == IP6_NEXTH_HOPBYHOP || next == IP6_NEXTH_ROUTING || next == IP6_NEXTH_DESTOPTS) && at + 8 <= packet->len) {
        next = bytes[at];
        at = (u16_t)(at + 8 * (1 + bytes[at + 1]));
    }
    if (next != IP6_NEXTH_FRAGMENT)
        return packet;
    const struct ip6_frag_hdr *fragment = (const struct ip6_frag_hdr *)(bytes + at);
    if (at + IP6_FRAG_HLEN > packet->len || (IP6_FRAG_MBIT(fragment) && IP6H_PLEN(header) % 8 != 0)) {
        pbuf_free(packet);
        return NULL;
    }
    ip_data.current_ip6_header = header;
    ip_addr_copy_from_ip6_packed(ip_data.current_iphdr_dest, header->dest);
    ip_addr_copy_from_ip6_packed(ip_data.current_iphdr_src, header->src);
    ip6_addr_assign_zone(ip_2_ip6(&ip_data.current_iphdr_dest), IP6_UNKNOWN, netif);
    ip6_addr_assign_zone(ip_2_ip6(&ip_data.current_iphdr_src), IP6_UNICAST, netif);
    pbuf_remove_header(packet, at);
    packet = ip6_reass(packet);
    ip_data.current_ip6_header = NULL;
    /* What lwIP 2.1.3 writes there is eight less, and it does not look again. */
    if (packet != NULL)
        IP6H_PLEN_SET((struct ip6_hdr *)packet->payload, (u16_t)(packet->tot_len - IP6_HLEN));
    return packet;
}

/* A chain that was opened: its headers in a new pbuf, what stayed in the old ones, its end in another. NULL: no memory, and all is gone. */
static struct pbuf *joined(struct pbuf *old, const RvlChain *chain)
{
    struct pbuf *front = pbuf_alloc(PBUF_RAW, (u16_t)chain->front_length, PBUF_RAM);
    struct pbuf *back = pbuf_alloc(PBUF_RAW, (u16_t)chain->back_length, PBUF_RAM);
    if (front == NULL || back == NULL) {
        struct pbuf *all[] = {front, back, old};
        for (int i = 0; i < 3; i++)
            if (all[i] != NULL)
                pbuf_free(all[i]);
        return NULL;
    }
    pbuf_take(front, chain->buffer + chain->front_offset, (u16_t)chain->front_length);
    pbuf_take(back, chain->buffer + chain->back_offset, (u16_t)chain->back_length);
    if (chain->middle_length != 0) {
        old = pbuf_free_header(old, (u16_t)chain->middle_offset);
        pbuf_realloc(old, (u16_t)chain->middle_length);
        pbuf_cat(front, old);
    } else {
        pbuf_free(old);
    }
    pbuf_cat(front, back);
    return front;
}

/* Opens a packet in several pbufs. NULL: it goes nowhere, and is gone. */
static struct pbuf *open_chain(struct pbuf *packet)
{
    /* Headers and trailer alone come here, one packet at a time. */
    static uint8_t buffer[RVL_HEADROOM + UINT16_MAX + RVL_TAILROOM];
    RvlPiece pieces[PIECES];
    size_t count = 0;
    for (struct pbuf *each = packet; each != NULL && count < PIECES; each = each->next)
        pieces[count++] = (RvlPiece){each->payload, each->len};
    RvlChain chain = {.pieces = pieces, .piece_count = count, .buffer = buffer, .capacity = sizeof buffer};
    RvlResult result;
    if (pbuf_clen(packet) > PIECES || rvl_decapsulate_chain(engine, &chain, now(), &result) != RVL_STATUS_OK ||
        result.verdict == RVL_VERDICT_DROP) {
        pbuf_free(packet);
        return NULL;
    }
    return result.verdict == RVL_VERDICT_BYPASS ? packet : joined(packet, &chain);
}

/* Opens a packet in one pbuf. NULL: it goes nowhere, and is gone. */
static struct pbuf *open_one(struct pbuf *arrived)
{
    RvlPacket packet = {.buffer = arrived->payload, .capacity = arrived->len, .length = arrived->len};
    RvlResult result;
    if (rvl_decapsulate(engine, &packet, now(), &result) != RVL_STATUS_OK || result.verdict == RVL_VERDICT_DROP) {
        pbuf_free(arrived);
        return NULL;
    }
    pbuf_remove_header(arrived, packet.offset);
    pbuf_realloc(arrived, (u16_t)packet.length);
    return arrived;
}

err_t protect_input(struct pbuf *frame, struct netif *netif)
{
    const struct eth_hdr *header = frame->payload;
    if (frame->len >= SIZEOF_ETH_HDR && header->type == PP_HTONS(ETHTYPE_ARP))
        return ethernet_input(frame, netif);
    int six = frame->len >= SIZEOF_ETH_HDR && header->type == PP_HTONS(ETHTYPE_IPV6);
    /* What is none of the three is not for this host. */
    if (frame->len < SIZEOF_ETH_HDR || !(six || header->type == PP_HTONS(ETHTYPE_IP)) ||
        pbuf_remove_header(frame, SIZEOF_ETH_HDR) || !(six ? is_sound6(frame) : is_sound4(frame))) {
        pbuf_free(frame);
        return ERR_OK;
    }
    struct pbuf *packet = six ? whole6(frame, netif) : whole4(frame);
    if (packet != NULL)
        packet = packet->next == NULL ? open_one(packet) : open_chain(packet);
    /* Of a tunnel's packet IP begins anew, of whichever family; lwIP does no harm to the others by looking at their headers again. */
    return packet == NULL ? ERR_OK : ip_input(packet, netif);
}

void protect_netif(struct netif *netif, RvlHandle with)
{
    engine = with;
    link_output4 = netif->output;
    link_output6 = netif->output_ip6;
    netif->output = outbound4;
    netif->output_ip6 = outbound6;
    /* 0: lwIP does not cut packets. Those of transport mode have to be whole when they are protected (RFC 4303 §3.3.4). */
    netif->mtu = 0;
}
