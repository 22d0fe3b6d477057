/* The template for chains of mbufs, over mbufs that look like those of FreeBSD and count how many there are. */
#include <errno.h>

#include "common.h"

enum { M_NOWAIT = 1, MT_DATA = 1, M_PKTHDR = 2, MCLBYTES = 2048, MJUM16BYTES = 16384, SMALL = 64 };

struct m_tag {
    struct m_tag *next;
    uint32_t cookie;
    int type, len;
};

struct mbuf {
    struct mbuf *m_next;
    char *m_data;
    int m_len, m_flags;
    struct {
        int len;
        struct m_tag *tags;
    } m_pkthdr;
    char *storage;
    int shared;
};

#define mtod(m, type) ((type)(void *)(m)->m_data)

static int live, starved, copied;

static struct mbuf *m_getjcl(int how, short kind, int flags, int size)
{
    CHECK(how == M_NOWAIT && kind == MT_DATA);
    if (starved > 0 && --starved == 0)
        return NULL;
    struct mbuf *m = calloc(1, sizeof *m);
    m->storage = m->m_data = malloc((size_t)size);
    m->m_flags = flags;
    live++;
    return m;
}

static void m_freem(struct mbuf *m)
{
    while (m != NULL) {
        struct mbuf *next = m->m_next;
        while (m->m_pkthdr.tags != NULL) {
            struct m_tag *tag = m->m_pkthdr.tags;
            m->m_pkthdr.tags = tag->next;
            free(tag);
        }
        free(m->storage);
        free(m);
        live--;
        m = next;
    }
}

static void m_copydata(const struct mbuf *m, int from, int len, char *out)
{
    CHECK(from == 0);
    for (; len > 0; m = m->m_next) {
        int part = m->m_len < len ? m->m_len : len;
        memcpy(out, m->m_data, (size_t)part);
        out += part;
        len -= part;
    }
}

/* As FreeBSD's: what others hold is copied. */
static struct mbuf *m_unshare(struct mbuf *first, int how)
{
    CHECK(how == M_NOWAIT);
    for (struct mbuf *m = first; m != NULL; m = m->m_next) {
        if (m->shared == 0)
            continue;
        char *own = malloc(SMALL);
        memcpy(own, m->m_data, (size_t)m->m_len);
        m->storage = m->m_data = own;
        m->shared = 0;
        copied++;
    }
    return first;
}

/* Takes bytes off the front, or, of a negative number, off the end. */
static void m_adj(struct mbuf *m, int len)
{
    m->m_pkthdr.len -= abs(len);
    int keep = m->m_pkthdr.len;
    for (struct mbuf *each = m; each != NULL; each = each->m_next) {
        if (len >= 0) {
            int part = each->m_len < len ? each->m_len : len;
            each->m_data += part;
            each->m_len -= part;
            len -= part;
        } else {
            each->m_len = each->m_len < keep ? each->m_len : keep;
            keep -= each->m_len;
        }
    }
}

static void m_demote_pkthdr(struct mbuf *m)
{
    CHECK(m->m_flags & M_PKTHDR);
    m->m_flags &= ~M_PKTHDR;
    while (m->m_pkthdr.tags != NULL) {
        struct m_tag *tag = m->m_pkthdr.tags;
        m->m_pkthdr.tags = tag->next;
        free(tag);
    }
}

static struct m_tag *m_tag_alloc(uint32_t cookie, int type, int len, int how)
{
    struct m_tag *tag = how == M_NOWAIT ? calloc(1, sizeof *tag + (size_t)len) : NULL;
    tag->cookie = cookie;
    tag->type = type;
    tag->len = len;
    return tag;
}

static void m_tag_prepend(struct mbuf *m, struct m_tag *tag)
{
    tag->next = m->m_pkthdr.tags;
    m->m_pkthdr.tags = tag;
}

static struct m_tag *m_tag_locate(struct mbuf *m, uint32_t cookie, int type, struct m_tag *after)
{
    struct m_tag *tag = after == NULL ? m->m_pkthdr.tags : after->next;
    while (tag != NULL && (tag->cookie != cookie || tag->type != type))
        tag = tag->next;
    return tag;
}

#include "../../examples/mbuf.h"

static const uint8_t KEY[20] = {3, 1};

/* The packet in mbufs of 0 to 12 bytes: no header is in one piece. */
static struct mbuf *chain(const uint8_t *packet, size_t len)
{
    struct mbuf *first = NULL, **link = &first;
    for (size_t at = 0, n = 0; at < len; n++) {
        size_t part = n * 5 % 13 < len - at ? n * 5 % 13 : len - at;
        struct mbuf *m = m_getjcl(M_NOWAIT, MT_DATA, first == NULL ? M_PKTHDR : 0, SMALL);
        memcpy(m->m_data, packet + at, part);
        m->m_len = (int)part;
        at += part;
        *link = m;
        link = &m->m_next;
    }
    first->m_pkthdr.len = (int)len;
    return first;
}

static int holds(struct mbuf *m, const uint8_t *packet, size_t len)
{
    static char bytes[MJUM16BYTES];
    if (m == NULL || m->m_pkthdr.len != (int)len)
        return 0;
    m_copydata(m, 0, (int)len, bytes);
    return memcmp(bytes, packet, len) == 0;
}

/* Where each mbuf of a chain has its bytes. */
static size_t mark_storage(struct mbuf *m, char **own)
{
    size_t count = 0;
    for (; m != NULL; m = m->m_next)
        own[count++] = m->storage;
    return count;
}

/* Whether all of a packet but its first and last mbuf stands where it stood. */
static int stays(struct mbuf *m, char **own, size_t count)
{
    for (m = m->m_next; m != NULL; m = m->m_next) {
        size_t n = 0;
        while (n < count && own[n] != m->storage)
            n++;
        if (n == count && m->m_next != NULL)
            return 0;
    }
    return 1;
}

int main(void)
{
    static char *own[4000];
    uint64_t seed = 11;
    RvlHandle engine = engine_new(&seed);
    RvlPolicy policy = {.id = 1, .action = RVL_PROTECT, .source = "10.0.1.0/24", .destination = "10.0.2.0/24",
                        .endpoint = "192.0.2.2", .replay_window = 64};
    OK(rvl_add_policy(engine, &policy));
    policy = (RvlPolicy){.id = 2, .action = RVL_BYPASS, .source = "10.0.3.0/24", .destination = "10.0.4.0/24"};
    OK(rvl_add_policy(engine, &policy));
    uint8_t clear[4000], other[200];
    RvlResult result;

    /* Without an SA the chain stays, to be queued. */
    size_t len = udp_packet(clear, 1, 2, 9, 100);
    struct mbuf *m = chain(clear, len);
    int before = live;
    CHECK(ravelin_mbuf(engine, RVL_OUTBOUND, &m, 0, 0, &result) == 0 && result.verdict == RVL_VERDICT_HOLD);
    CHECK(holds(m, clear, len) && live == before);
    for (uint32_t direction = RVL_OUTBOUND; direction <= RVL_INBOUND; direction++) {
        RvlSa sa = {.direction = direction, .spi = 0x1000, .policy = 1, .from = "192.0.2.1", .to = "192.0.2.2",
                    .source = "10.0.1.0/24", .destination = "10.0.2.0/24", .encryption = "AES128-GCM",
                    .encryption_key = KEY, .encryption_key_len = sizeof KEY, .replay_window = 64};
        OK(rvl_add_sa(engine, &sa, 0));
    }
    for (size_t payload = 0; payload < 3000; payload = payload * 3 + 7) {
        m_freem(m);
        len = udp_packet(clear, 1, 2, 9, payload);
        m = chain(clear, len);
        size_t marked = mark_storage(m, own);
        CHECK(ravelin_mbuf(engine, RVL_OUTBOUND, &m, 0, 0, &result) == 0);
        CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL && m->m_pkthdr.len > (int)len);
        CHECK(result.destination.bytes[3] == 2);
        /* Beyond the headers the packet is still in the mbufs that it came in, and one that is new has its end. */
        CHECK(len <= 400 || (live > (int)len / 20 && m->m_len < 400 && stays(m, own, marked)));
        /* A hook that sees it again lets it pass. */
        CHECK(ravelin_mbuf(engine, RVL_OUTBOUND, &m, 0, 0, &result) == 0 && result.verdict == RVL_VERDICT_BYPASS);
        static uint8_t sealed[MJUM16BYTES];
        size_t sealed_len = (size_t)m->m_pkthdr.len;
        m_copydata(m, 0, (int)sealed_len, (char *)sealed);
        m_freem(m);
        m = chain(sealed, sealed_len);
        marked = mark_storage(m, own);
        CHECK(ravelin_mbuf(engine, RVL_INBOUND, &m, 0, 0, &result) == 0);
        CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL && holds(m, clear, len));
        CHECK(len <= 400 || (live > (int)len / 20 && stays(m, own, marked)));
        before = live;
        CHECK(ravelin_mbuf(engine, RVL_INBOUND, &m, 0, 0, &result) == 0 && result.verdict == RVL_VERDICT_BYPASS);
        /* Twice is once too often. */
        struct mbuf *again = chain(sealed, sealed_len);
        CHECK(ravelin_mbuf(engine, RVL_INBOUND, &again, 0, 0, &result) == EACCES && again == NULL);
        CHECK(result.reason == RVL_STATUS_BAD_SEQUENCE_NUMBER && live == before);
    }
    /* What a socket still holds is not written to. */
    m_freem(m);
    len = udp_packet(clear, 1, 2, 9, 1000);
    m = chain(clear, len);
    static char held[SMALL];
    struct mbuf *shared = m;
    for (int n = 0; n < 60 || shared->m_len == 0; n++)
        shared = shared->m_next;
    memcpy(held, shared->m_data, (size_t)shared->m_len);
    char before_it[SMALL], *storage = shared->storage;
    memcpy(before_it, held, sizeof held);
    shared->m_data = held;
    shared->shared = 1;
    CHECK(ravelin_mbuf(engine, RVL_OUTBOUND, &m, 0, 0, &result) == 0 && copied == 1);
    CHECK(result.verdict == RVL_VERDICT_SECURE_TUNNEL && memcmp(held, before_it, sizeof held) == 0);
    free(storage);
    m_freem(m);
    /* What passes keeps its chain, what no policy is about and what finds no memory goes, and nothing is left behind. */
    len = udp_packet(other, 3, 4, 9, 60);
    m = chain(other, len);
    before = live;
    CHECK(ravelin_mbuf(engine, RVL_OUTBOUND, &m, 0, 0, &result) == 0 && result.verdict == RVL_VERDICT_BYPASS);
    CHECK(holds(m, other, len) && live == before);
    RvlPiece pieces[64];
    size_t count = ravelin_mbuf_pieces(m, pieces, 64), sum = 0;
    CHECK(count > 5 && count == ravelin_mbuf_pieces(m, pieces, 3));
    for (size_t n = 0; n < count; n++)
        sum += pieces[n].length;
    CHECK(sum == len);
    m_freem(m);
    /* Neither for the headers, nor for a list of so many mbufs, nor for the end of the packet. */
    for (int which = 1; which <= 3; which++) {
        len = udp_packet(clear, 1, 2, 9, 1000);
        m = chain(clear, len);
        starved = which;
        CHECK(ravelin_mbuf(engine, RVL_OUTBOUND, &m, 0, 0, &result) == ENOBUFS && m == NULL && live == 0);
    }
    len = udp_packet(other, 8, 9, 9, 60);
    m = chain(other, len);
    CHECK(ravelin_mbuf(engine, RVL_INBOUND, &m, 0, 0, &result) == EACCES && m == NULL && live == 0);
    OK(rvl_engine_free(engine));
    puts("done");
    return 0;
}
