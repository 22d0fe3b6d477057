/*
 * An adapter for stacks that keep packets in chains of mbufs (FreeBSD; with RAVELIN_MBUF_GET of your own, NetBSD): a template,
 * of which the C tests compile every line against mbufs of their own.
 *
 *   pfil hook, outbound:  after the header is complete, before ip_output fragments   ravelin_mbuf(engine, RVL_OUTBOUND, ...)
 *   pfil hook, inbound:   after reassembly and options, before the upper layer       ravelin_mbuf(engine, RVL_INBOUND, ...)
 *
 * Include the system's <sys/mbuf.h> and ravelin.h before this. The chain is read and never written to. A packet that was
 * protected or opened stands in one new mbuf, which takes the place of the chain: the one copy that is made. One that passes
 * keeps its chain.
 */
#ifndef RAVELIN_MBUF_H
#define RAVELIN_MBUF_H

#define RAVELIN_MBUF_COOKIE 0x52564c31
#define RAVELIN_MBUF_MARK 1

/* A packet header mbuf with `size` bytes in one piece, or NULL. */
#ifndef RAVELIN_MBUF_GET
#define RAVELIN_MBUF_GET(size)                                                                                   \
    ((size) <= MCLBYTES ? m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, MCLBYTES)                                        \
                        : (size) <= MJUM16BYTES ? m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, MJUM16BYTES) : NULL)
#endif

/* What the engine did with the packet when a hook saw it before: kept in a tag, so that none is protected twice. */
static uint32_t ravelin_mbuf_mark(struct mbuf *m)
{
    struct m_tag *tag = m_tag_locate(m, RAVELIN_MBUF_COOKIE, RAVELIN_MBUF_MARK, NULL);
    uint32_t mark = 0;
    if (tag != NULL)
        memcpy(&mark, tag + 1, sizeof mark);
    return mark;
}

static int ravelin_mbuf_set_mark(struct mbuf *m, uint32_t mark)
{
    struct m_tag *tag = m_tag_alloc(RAVELIN_MBUF_COOKIE, RAVELIN_MBUF_MARK, sizeof mark, M_NOWAIT);
    if (tag == NULL)
        return ENOBUFS;
    memcpy(tag + 1, &mark, sizeof mark);
    m_tag_prepend(m, tag);
    return 0;
}

/*
 * Has the engine decide about the packet in `*mp`. 0: go on with `*mp`, by `result->verdict`: after RVL_VERDICT_SECURE_... it is
 * another packet, which is routed by its new header. RVL_VERDICT_HOLD and RVL_VERDICT_FRAGMENT leave it as it is, to be
 * queued or cut; of RVL_VERDICT_TOO_BIG it is now the ICMP message to its sender. An error: `*mp` is gone.
 */
static int ravelin_mbuf(RvlHandle engine, uint32_t direction, struct mbuf **mp, uint16_t domain, uint64_t now,
                        RvlResult *result)
{
    struct mbuf *old = *mp;
    size_t length = (size_t)old->m_pkthdr.len, room = RVL_HEADROOM + length + RVL_TAILROOM;
    struct mbuf *new = RAVELIN_MBUF_GET(room);
    *mp = NULL;
    if (new == NULL) {
        m_freem(old);
        return ENOBUFS;
    }
    m_copydata(old, 0, (int)length, mtod(new, char *) + RVL_HEADROOM);
    RvlPacket packet = {.buffer = mtod(new, uint8_t *), .capacity = room, .offset = RVL_HEADROOM, .length = length,
                        .domain = domain, .mark = ravelin_mbuf_mark(old)};
    RvlStatus status = direction == RVL_OUTBOUND ? rvl_encapsulate(engine, &packet, now, result)
                                                 : rvl_decapsulate(engine, &packet, now, result);
    if (status != RVL_STATUS_OK || result->verdict == RVL_VERDICT_DROP) {
        m_freem(new);
        m_freem(old);
        return status == RVL_STATUS_OK ? EACCES : EINVAL;
    }
    switch (result->verdict) {
    case RVL_VERDICT_SECURE_TUNNEL:
    case RVL_VERDICT_SECURE_TRANSPORT:
    case RVL_VERDICT_TOO_BIG:
        m_freem(old);
        new->m_data += packet.offset;
        new->m_len = new->m_pkthdr.len = (int)packet.length;
        if (ravelin_mbuf_set_mark(new, packet.mark) != 0) {
            m_freem(new);
            return ENOBUFS;
        }
        *mp = new;
        return 0;
    default:
        m_freem(new);
        *mp = old;
        return 0;
    }
}

/*
 * The chain as pieces of a request, for `rvl_submit`, which copies them itself; it must stay as it is until the completion.
 * Returns how many there are; more than `most` are not written.
 */
static size_t ravelin_mbuf_pieces(struct mbuf *m, RvlPiece *pieces, size_t most)
{
    size_t count = 0;
    for (; m != NULL; m = m->m_next) {
        if (m->m_len == 0)
            continue;
        if (count < most)
            pieces[count] = (RvlPiece){.data = mtod(m, const uint8_t *), .length = (size_t)m->m_len};
        count++;
    }
    return count;
}

#endif
