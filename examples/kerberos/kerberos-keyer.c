/* Keys ESP between two hosts from a Kerberos session: a keying program for `ravelin daemon --keying-socket`, one on each host.
 *
 *   kerberos-keyer SOCKET LOCAL REMOTE PORT PEER [LIFETIME]
 *
 * SOCKET is that of the daemon of this host, LOCAL and REMOTE are the addresses, PORT is the TCP port of both programs, PEER the
 * principal of the other program (ravelin/there.example@EXAMPLE), LIFETIME that of an SA in seconds (3600), which never
 * outlives the ticket. This program's own principal has a keytab (KRB5_KTNAME) and, to begin, that or tickets (KRB5_CLIENT_KTNAME,
 * KRB5CCNAME).
 *
 *   packet ─► daemon ─ ACQUIRE ─► here ═ GSS-API over TCP (RFC 4121), both proven, SPIs under its protection ═ there
 *                    ◄─ ADD_SA ──                     keys: gss_pseudo_random (RFC 4401, RFC 7802)       ── ADD_SA ─►
 *
 * All traffic between the two addresses is protected in transport mode, but for PORT. This is no KINK (RFC 4430): that one speaks a
 * protocol of its own on UDP port 910. The messages of the socket are in docs/management.md.
 *
 *   cc kerberos-keyer.c -o kerberos-keyer -lgssapi_krb5 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

/* Types of messages, and what is in them (docs/management.md). */
enum { REGISTER = 1, GET_SPI = 5, ACQUIRE_FAIL = 6, ADD_SA = 7, ADD_POLICY = 12, DEL_POLICY = 13, GET_SA = 14 };
enum { ACQUIRE = 17, SA_EXPIRED = 18, FIRST_EVENT = ACQUIRE };
enum { BYPASS = 2, SECURE_TRANSPORT = 4, PROTO_ESP = 2, CHECK_REPLAY = 4, ESN = 1, AES_GCM_16 = 20, ESP = 50, TCP = 6 };
enum { HEADER = 12, MESSAGE = 1024, POLICIES = 3 };
enum { OUT = 2, SOFT = 0 };
enum { KEY = 36 }; /* AES-256 and the salt of RFC 4106 §8.1 */
enum { TOKEN = 1 << 16, PATIENCE = 10 };

static int management, listener;
static uint16_t sequence;
static struct sockaddr_storage local, remote;
static gss_name_t peer;
static uint32_t policies[POLICIES], secured, lifetime = 3600;
static int acquired, due;
static volatile sig_atomic_t stop;

static void end(int number)
{
    stop = number;
}

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kerberos-keyer: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static _Noreturn void die(const char *what)
{
    say("%s: %s", what, strerror(errno));
    exit(1);
}

/* Numbers in network order, one after the other. */
typedef struct {
    uint8_t octets[MESSAGE];
    size_t length;
} Bytes;

static void put(Bytes *to, const void *octets, size_t length)
{
    if (length > sizeof to->octets - to->length)
        abort();
    memcpy(to->octets + to->length, octets, length);
    to->length += length;
}

static void number(Bytes *to, uint64_t value, int octets)
{
    while (octets-- > 0) {
        uint8_t octet = (uint8_t)(value >> 8 * octets);
        put(to, &octet, 1);
    }
}

static uint32_t read32(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 | octets[3];
}

static const void *address_of(const struct sockaddr_storage *at, size_t *length)
{
    if (at->ss_family == AF_INET) {
        *length = 4;
        return &((const struct sockaddr_in *)at)->sin_addr;
    }
    *length = 16;
    return &((const struct sockaddr_in6 *)at)->sin6_addr;
}

static void endpoint(Bytes *to, const struct sockaddr_storage *at)
{
    static const uint8_t nothing[16];
    size_t length = 0;
    const void *address = at ? address_of(at, &length) : nothing;
    number(to, (uint64_t)(length == 0 ? 0 : length == 4 ? 4 : 6) << 24, 4);
    put(to, address, length);
    put(to, nothing, 16 - length);
}

static void identity(Bytes *to, const struct sockaddr_storage *at, uint16_t port)
{
    static const uint8_t nothing[16];
    size_t length;
    const void *address = address_of(at, &length);
    number(to, (uint64_t)(length == 4 ? 1 : 5) << 24, 4);
    number(to, port, 2);
    number(to, port, 2);
    put(to, address, length);
    put(to, nothing, 16 - length);
    put(to, nothing, 16);
}

/* What an event means for us. */
static void heard(const uint8_t *message, size_t length)
{
    const uint8_t *data = message + HEADER;
    if (message[0] == ACQUIRE && length >= HEADER + 4 && read32(data) == secured)
        acquired = 1;
    /* Only the SAs of whoever began have a soft limit; of the two, the outbound one is told. */
    if (message[0] == SA_EXPIRED && length >= HEADER + 8 && read32(data) == secured && data[5] == OUT && data[6] == SOFT)
        due = 1;
}

static size_t receive(uint8_t *message)
{
    ssize_t length = recv(management, message, MESSAGE, 0);
    if (length < HEADER)
        die("the daemon is gone");
    return (size_t)length;
}

/* Asks the daemon. The status of the answer, whose data is in `data` then. */
static int ask(int type, const Bytes *about, Bytes *data)
{
    Bytes message = {.length = 0};
    number(&message, (uint64_t)type << 24 | 2 << 16 | 1 << 8, 4);
    number(&message, ++sequence, 2);
    number(&message, about->length, 2);
    number(&message, 0, 4);
    put(&message, about->octets, about->length);
    ssize_t sent = send(management, message.octets, message.length, 0);
    explicit_bzero(&message, sizeof message);
    if (sent < 0)
        die("the daemon is gone");
    for (;;) {
        uint8_t answer[MESSAGE];
        size_t length = receive(answer);
        if (answer[0] >= FIRST_EVENT) {
            heard(answer, length);
            continue;
        }
        data->length = 0;
        put(data, answer + HEADER, length - HEADER);
        return answer[8] << 8 | answer[9];
    }
}

static uint32_t add_policy(int action, int protocol, uint32_t flags, int level, uint16_t here, uint16_t there)
{
    Bytes policy = {.length = 0}, answer;
    number(&policy, 0, 4);
    number(&policy, (uint64_t)action << 24 | (uint64_t)protocol << 16, 4);
    number(&policy, flags, 4);
    number(&policy, level, 4);
    identity(&policy, &local, here);
    identity(&policy, &remote, there);
    endpoint(&policy, action == BYPASS ? NULL : &remote);
    endpoint(&policy, NULL);
    number(&policy, action == BYPASS ? 0 : 64, 4);
    int status = ask(ADD_POLICY, &policy, &answer);
    if (status != 0 || answer.length != 4) {
        say("the daemon refuses a policy: error %d of docs/management.md", status);
        exit(1);
    }
    return read32(answer.octets);
}

static Bytes of_policy(uint32_t policy)
{
    Bytes about = {.length = 0};
    number(&about, policy, 4);
    return about;
}

/* An SPI of ours that nobody else has; 0: there is none. */
static uint32_t get_spi(void)
{
    Bytes about = of_policy(secured), answer;
    number(&about, (uint64_t)ESP << 24, 4);
    number(&about, 0, 8);
    return ask(GET_SPI, &about, &answer) == 0 && answer.length == 16 ? read32(answer.octets + 8) : 0;
}

static int complain(const char *what, OM_uint32 major, OM_uint32 minor)
{
    for (int kind = GSS_C_GSS_CODE; kind <= GSS_C_MECH_CODE; kind++) {
        OM_uint32 more = 0, ignored;
        gss_buffer_desc text;
        if (gss_display_status(&ignored, kind == GSS_C_GSS_CODE ? major : minor, kind, gss_mech_krb5, &more, &text) == 0) {
            say("%s: %.*s", what, (int)text.length, (char *)text.value);
            gss_release_buffer(&ignored, &text);
        }
    }
    return -1;
}

/* Both directions of an SA. Who began protects what it sends with the first key. */
static int install(gss_ctx_id_t context, int began, uint32_t ours, uint32_t theirs)
{
    OM_uint32 minor, left;
    Bytes input = {.length = 0}, add, answer;
    gss_buffer_desc keys;
    /* The input separates these keys from all others of the session. */
    put(&input, "ravelin esp", 12);
    number(&input, began ? ours : theirs, 4);
    number(&input, began ? theirs : ours, 4);
    gss_buffer_desc of = {input.length, input.octets};
    OM_uint32 major = gss_pseudo_random(&minor, context, GSS_C_PRF_KEY_FULL, &of, 2 * KEY, &keys);
    if (major != GSS_S_COMPLETE)
        return complain("no keys", major, minor);
    major = gss_context_time(&minor, context, &left);
    if (major != GSS_S_COMPLETE || keys.length != 2 * KEY) {
        gss_release_buffer(&minor, &keys);
        return complain("the ticket is over", major, minor);
    }
    uint32_t hard = left < lifetime ? left : lifetime, soft = began ? hard - hard / 4 : 0;
    add = of_policy(secured);
    number(&add, (uint64_t)ESN << 16 | AES_GCM_16 << 8, 4);
    number(&add, ours, 4);
    number(&add, theirs, 4);
    number(&add, 0, 8);
    number(&add, soft, 4);
    number(&add, 0, 8);
    number(&add, 0, 8);
    number(&add, hard, 4);
    number(&add, 0, 8);
    number(&add, 0, 8);
    number(&add, 0, 4);
    endpoint(&add, NULL);
    number(&add, (uint64_t)KEY << 24, 4);
    const uint8_t *first = keys.value;
    put(&add, first + (began ? KEY : 0), KEY);
    put(&add, first + (began ? 0 : KEY), KEY);
    explicit_bzero(keys.value, keys.length);
    gss_release_buffer(&minor, &keys);
    int status = ask(ADD_SA, &add, &answer);
    explicit_bzero(&add, sizeof add);
    if (status != 0) {
        say("the daemon refuses an SA: error %d of docs/management.md", status);
        return -1;
    }
    say("SAs %08x in, %08x out, for %u s", ours, theirs, hard);
    return 0;
}

static int send_token(int to, const void *octets, size_t length)
{
    uint8_t head[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
    int sent = send(to, head, sizeof head, MSG_NOSIGNAL | MSG_MORE) == sizeof head;
    return sent && send(to, octets, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

/* Whether both begin with each other at the same time, and it is we who give way. */
static int gives_way(void)
{
    size_t length;
    const void *ours = address_of(&local, &length), *theirs = address_of(&remote, &length);
    return memcmp(ours, theirs, length) > 0;
}

static int receive_all(int from, uint8_t *to, size_t length, int may_yield)
{
    while (length > 0) {
        struct pollfd waits[] = {{.fd = from, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        if (poll(waits, may_yield && gives_way() ? 2 : 1, PATIENCE * 1000) <= 0 || (waits[0].revents == 0))
            return -1;
        ssize_t got = recv(from, to, length, 0);
        if (got <= 0)
            return -1;
        to += got;
        length -= (size_t)got;
    }
    return 0;
}

static int receive_token(int from, gss_buffer_t token, int may_yield)
{
    static uint8_t octets[TOKEN];
    uint8_t head[4];
    if (receive_all(from, head, sizeof head, may_yield) != 0 || read32(head) > sizeof octets)
        return -1;
    *token = (gss_buffer_desc){read32(head), octets};
    return receive_all(from, octets, token->length, may_yield);
}

static int send_spi(int to, gss_ctx_id_t context, uint32_t spi)
{
    Bytes plain = {.length = 0};
    OM_uint32 minor;
    gss_buffer_desc sealed;
    int hidden = 0;
    number(&plain, spi, 4);
    gss_buffer_desc input = {plain.length, plain.octets};
    OM_uint32 major = gss_wrap(&minor, context, 1, GSS_C_QOP_DEFAULT, &input, &hidden, &sealed);
    if (major != GSS_S_COMPLETE || !hidden)
        return complain("nothing can be said", major, minor);
    int sent = send_token(to, sealed.value, sealed.length);
    gss_release_buffer(&minor, &sealed);
    return sent;
}

static int receive_spi(int from, gss_ctx_id_t context, uint32_t *spi)
{
    OM_uint32 minor;
    gss_buffer_desc sealed, plain;
    int hidden = 0;
    if (receive_token(from, &sealed, 0) != 0)
        return -1;
    OM_uint32 major = gss_unwrap(&minor, context, &sealed, &plain, &hidden, NULL);
    if (major != GSS_S_COMPLETE)
        return complain("what the peer says", major, minor);
    int good = hidden && plain.length == 4;
    *spi = good ? read32(plain.value) : 0;
    gss_release_buffer(&minor, &plain);
    return good ? 0 : -1;
}

/* Both must be proven, and what they say hidden. */
static int is_enough(OM_uint32 flags)
{
    const OM_uint32 all = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG;
    return (flags & all) == all;
}

static int begin_with(int stream, gss_ctx_id_t *context)
{
    OM_uint32 minor, major, flags = 0;
    gss_buffer_desc heard_token = GSS_C_EMPTY_BUFFER, token;
    const OM_uint32 wanted = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG;
    do {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, context, peer, (gss_OID)gss_mech_krb5, wanted, 0,
                                     GSS_C_NO_CHANNEL_BINDINGS, &heard_token, NULL, &token, &flags, NULL);
        if (GSS_ERROR(major))
            return complain("no session with the peer", major, minor);
        int sent = token.length == 0 ? 0 : send_token(stream, token.value, token.length);
        OM_uint32 ignored;
        gss_release_buffer(&ignored, &token);
        if (sent != 0 || (major == GSS_S_CONTINUE_NEEDED && receive_token(stream, &heard_token, 1) != 0)) {
            say("the peer hangs up, or begins itself");
            return -1;
        }
    } while (major == GSS_S_CONTINUE_NEEDED);
    uint32_t ours = get_spi(), theirs;
    if (!is_enough(flags) || ours == 0 || send_spi(stream, *context, ours) != 0 || receive_spi(stream, *context, &theirs) != 0)
        return -1;
    return install(*context, 1, ours, theirs);
}

static int is_peer(gss_name_t name)
{
    OM_uint32 minor;
    gss_buffer_desc text;
    int same = 0;
    if (gss_compare_name(&minor, name, peer, &same) == GSS_S_COMPLETE && same)
        return 1;
    if (gss_display_name(&minor, name, &text, NULL) == GSS_S_COMPLETE) {
        say("%.*s is not the peer", (int)text.length, (char *)text.value);
        gss_release_buffer(&minor, &text);
    }
    return 0;
}

static int answer_to(int stream, gss_ctx_id_t *context)
{
    OM_uint32 minor, major, flags = 0;
    gss_name_t from = GSS_C_NO_NAME;
    do {
        gss_buffer_desc heard_token, token;
        if (receive_token(stream, &heard_token, 0) != 0)
            return -1;
        gss_release_name(&minor, &from);
        major = gss_accept_sec_context(&minor, context, GSS_C_NO_CREDENTIAL, &heard_token, GSS_C_NO_CHANNEL_BINDINGS, &from,
                                       NULL, &token, &flags, NULL, NULL);
        if (GSS_ERROR(major))
            return complain("a stranger is refused", major, minor);
        int sent = token.length == 0 ? 0 : send_token(stream, token.value, token.length);
        OM_uint32 ignored;
        gss_release_buffer(&ignored, &token);
        if (sent != 0)
            return -1;
    } while (major == GSS_S_CONTINUE_NEEDED);
    int known = is_peer(from);
    gss_release_name(&minor, &from);
    uint32_t theirs, ours = known ? get_spi() : 0;
    if (!is_enough(flags) || ours == 0 || receive_spi(stream, *context, &theirs) != 0)
        return -1;
    /* Who receives first is there when the other begins to send. */
    return install(*context, 0, ours, theirs) == 0 ? send_spi(stream, *context, ours) : -1;
}

static void patient(int stream)
{
    const struct timeval time = {.tv_sec = PATIENCE};
    setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static socklen_t size_of(const struct sockaddr_storage *at)
{
    return at->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void finish(int stream, gss_ctx_id_t context)
{
    OM_uint32 minor;
    close(stream);
    if (context != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
}

static void begin(void)
{
    int stream = socket(remote.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    int done = -1;
    patient(stream);
    if (stream >= 0 && connect(stream, (struct sockaddr *)&remote, size_of(&remote)) == 0)
        done = begin_with(stream, &context);
    else
        say("the peer is not there: %s", strerror(errno));
    finish(stream, context);
    if (done != 0) {
        Bytes about = of_policy(secured), answer;
        ask(ACQUIRE_FAIL, &about, &answer);
    }
}

static void answer(void)
{
    int stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    if (stream < 0)
        return;
    patient(stream);
    answer_to(stream, &context);
    finish(stream, context);
}

static int parse(const char *text, uint16_t port, struct sockaddr_storage *at)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at;
    memset(at, 0, sizeof *at);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return 0;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1 ? 0 : -1;
}

static void attend(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(at.sun_path, path);
    management = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (management < 0 || connect(management, (struct sockaddr *)&at, sizeof at) != 0)
        die(path);
    Bytes nothing = {.length = 0}, answer;
    if (ask(REGISTER, &nothing, &answer) != 0)
        die("the daemon does not take a program more");
}

static void listen_at(void)
{
    int yes = 1;
    listener = socket(local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&local, size_of(&local)) != 0 || listen(listener, 8) != 0)
        die("nobody can be answered");
}

int main(int count, char **arguments)
{
    OM_uint32 minor;
    if (count < 6 || count > 7) {
        fputs("usage: kerberos-keyer SOCKET LOCAL REMOTE PORT PEER [LIFETIME]\n", stderr);
        return 2;
    }
    uint16_t port = (uint16_t)atoi(arguments[4]);
    if (parse(arguments[2], port, &local) != 0 || parse(arguments[3], port, &remote) != 0 ||
        local.ss_family != remote.ss_family || port == 0) {
        say("expected two addresses of one family and a port");
        return 2;
    }
    if (count == 7 && (lifetime = (uint32_t)atoi(arguments[6])) < 4) {
        say("expected a lifetime of 4 seconds and more");
        return 2;
    }
    gss_buffer_desc name = {strlen(arguments[5]), arguments[5]};
    gss_OID kind = (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME;
    OM_uint32 major = gss_import_name(&minor, &name, kind, &peer);
    if (major != GSS_S_COMPLETE) {
        complain(arguments[5], major, minor);
        return 2;
    }
    struct sigaction ends = {.sa_handler = end};
    sigaction(SIGTERM, &ends, NULL);
    sigaction(SIGINT, &ends, NULL);
    /* They are taken while it waits for something to do, and break off nothing that it does with the daemon. */
    sigset_t ended, before;
    sigemptyset(&ended);
    sigaddset(&ended, SIGTERM);
    sigaddset(&ended, SIGINT);
    sigprocmask(SIG_BLOCK, &ended, &before);
    attend(arguments[1]);
    listen_at();
    policies[0] = add_policy(BYPASS, TCP, 0, 3, port, 0);
    policies[1] = add_policy(BYPASS, TCP, 0, 3, 0, port);
    policies[2] = secured = add_policy(SECURE_TRANSPORT, 0, PROTO_ESP | CHECK_REPLAY, 4, 0, 0);
    say("ready");
    while (!stop) {
        struct pollfd waits[] = {{.fd = management, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        if (ppoll(waits, 2, NULL, &before) < 0)
            continue;
        if (waits[1].revents)
            answer();
        if (waits[0].revents) {
            uint8_t message[MESSAGE];
            heard(message, receive(message));
        }
        Bytes about = of_policy(secured), reply;
        /* Somebody else's packet may have asked for what is there by now. */
        if (due || (acquired && ask(GET_SA, &about, &reply) != 0))
            begin();
        acquired = due = 0;
    }
    for (int i = 0; i < POLICIES; i++) {
        Bytes about = of_policy(policies[i]), reply;
        ask(DEL_POLICY, &about, &reply);
    }
    return 0;
}
