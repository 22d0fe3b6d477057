/*
 * An adapter for stacks that keep packets in chains of mbufs (FreeBSD; with RAVELIN_MBUF_GET of your own, NetBSD): a template,
 * of which the C tests compile every line against mbufs of their own.
 *
 *   pfil hook, outbound:  after the header is complete, before ip_output fragments   ravelin_mbuf(engine, RVL_OUTBOUND, ...)
 *   pfil hook, inbound:   after reassembly and options, before the upper layer       ravelin_mbuf(engine, RVL_INBOUND, ...)
 *
 * Include the system's <sys/mbuf.h> and ravelin.h before this. What is protected or opened is not copied: it stays in the mbufs
 * of the chain and changes there, behind a new mbuf with the headers and before another with the trailer. So what others hold
 * too, as a socket holds what it may have to send again, becomes the packet's own first (m_unshare). A packet that passes keeps
 * its chain as it is.
 */
#ifndef RAVELIN_MBUF_H
#define RAVELIN_MBUF_H

#define RAVELIN_MBUF_COOKIE 0x52564c31
#define RAVELIN_MBUF_MARK 1

/* So many mbufs of a chain are listed on the stack; more in an mbuf. */
#define RAVELIN_MBUF_FEW 16

/* An mbuf with `size` bytes in one piece, M_PKTHDR in `flags` or not, or NULL. */
#ifndef RAVELIN_MBUF_GET
#define RAVELIN_MBUF_GET(size, flags)                                                                            \
    ((size) <= MCLBYTES ? m_getjcl(M_NOWAIT, MT_DATA, (flags), MCLBYTES)                                         \
                        : (size) <= MJUM16BYTES ? m_getjcl(M_NOWAIT, MT_DATA, (flags), MJUM16BYTES) : NULL)
#endif

/* The chain with bytes that nobody else reads, or NULL, and it is gone. */
#ifndef RAVELIN_MBUF_UNSHARE
#define RAVELIN_MBUF_UNSHARE(m) m_unshare((m), M_NOWAIT)
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
 * The chain as pieces: also those of a request, for `rvl_submit`, which copies them itself; it must stay as it is until the
 * completion then. Returns how many there are; more than `most` are not written.
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

/* What the chain has become: `new` with the headers, what is left of `old`, and the trailer. NULL: no memory, and all is gone. */
static struct mbuf *ravelin_mbuf_join(struct mbuf *new, struct mbuf *old, const RvlChain *chain)
{
    struct mbuf *last = new;
    size_t length = chain->front_length + chain->middle_length + chain->back_length;
    new->m_data += chain->front_offset;
    new->m_len = (int)chain->front_length;
    if (chain->middle_length != 0) {
        size_t behind = (size_t)old->m_pkthdr.len - chain->middle_offset - chain->middle_length;
        m_adj(old, (int)chain->middle_offset);
        m_adj(old, -(int)behind);
        m_demote_pkthdr(old);
        new->m_next = old;
        while (last->m_next != NULL)
            last = last->m_next;
    } else {
        m_freem(old);
    }
    if (chain->back_length != 0) {
        struct mbuf *end = RAVELIN_MBUF_GET(chain->back_length, 0);
        if (end == NULL) {
            m_freem(new);
            return NULL;
        }
        memcpy(mtod(end, uint8_t *), chain->buffer + chain->back_offset, chain->back_length);
        end->m_len = (int)chain->back_length;
        last->m_next = end;
    }
    new->m_pkthdr.len = (int)length;
    if (ravelin_mbuf_set_mark(new, chain->mark) != 0) {
        m_freem(new);
        return NULL;
    }
    return new;
}

/*
 * Has the engine decide about the packet in `*mp`. 0: go on with `*mp`, by `result->verdict`: after RVL_VERDICT_SECURE_... it is
 * another packet, which is routed by its new header. RVL_VERDICT_HOLD and RVL_VERDICT_FRAGMENT leave it as it is, to be
 * queued or cut; of RVL_VERDICT_TOO_BIG it is now the ICMP message to its sender. An error: `*mp` is gone.
 */
static int ravelin_mbuf(RvlHandle engine, uint32_t direction, struct mbuf **mp, uint16_t domain, uint64_t now,
                        RvlResult *result)
{
    struct mbuf *old = RAVELIN_MBUF_UNSHARE(*mp), *new, *many = NULL;
    RvlPiece few[RAVELIN_MBUF_FEW], *pieces = few;
    *mp = NULL;
    if (old == NULL)
        return ENOBUFS;
    size_t room = RVL_HEADROOM + (size_t)old->m_pkthdr.len + RVL_TAILROOM, count = ravelin_mbuf_pieces(old, NULL, 0);
    new = RAVELIN_MBUF_GET(room, M_PKTHDR);
    if (count > RAVELIN_MBUF_FEW) {
        many = RAVELIN_MBUF_GET(count * sizeof *pieces, 0);
        pieces = many == NULL ? NULL : mtod(many, RvlPiece *);
    }
    if (new == NULL || pieces == NULL) {
        m_freem(new);
        m_freem(many);
        m_freem(old);
        return ENOBUFS;
    }
    ravelin_mbuf_pieces(old, pieces, count);
    RvlChain chain = {.pieces = pieces, .piece_count = count, .buffer = mtod(new, uint8_t *), .capacity = room,
                      .domain = domain, .mark = ravelin_mbuf_mark(old)};
    RvlStatus status = direction == RVL_OUTBOUND ? rvl_encapsulate_chain(engine, &chain, now, result)
                                                 : rvl_decapsulate_chain(engine, &chain, now, result);
    m_freem(many);
    if (status != RVL_STATUS_OK || result->verdict == RVL_VERDICT_DROP) {
        m_freem(new);
        m_freem(old);
        return status == RVL_STATUS_OK ? EACCES : EINVAL;
    }
    switch (result->verdict) {
    case RVL_VERDICT_SECURE_TUNNEL:
    case RVL_VERDICT_SECURE_TRANSPORT:
    case RVL_VERDICT_TOO_BIG:
        *mp = ravelin_mbuf_join(new, old, &chain);
        return *mp == NULL ? ENOBUFS : 0;
    default:
        m_freem(new);
        *mp = old;
        return 0;
    }
}

#endif
