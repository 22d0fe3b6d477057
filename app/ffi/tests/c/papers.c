/* Two IKE endpoints in one program prove who they are by certificates, and by logins, as lines say. */
#define _XOPEN_SOURCE 700
#include "host.h"

static const char *const SIDE[] = {"left", "right"};

/* One side: how the two prove themselves, and who each is. */
static void configured(Host *host, int which, const char *how)
{
    char lines[2048];
    host_open(host, which);
    int len = snprintf(lines, sizeof lines,
                       "ce x509 -a ca.pem -d 1\nce x509 -a %s.pem -d 1 -k %s.key\n"
                       "ike remote -n other -r %s --local %s -g %s -f %s %s\n"
                       "ipsec policy -n net -g other -m tunnel -r %s -s %s -d %s -e AES128-GCM\n",
                       SIDE[which], SIDE[which], ADDRESS[!which], ADDRESS[which], NAME[which], NAME[!which], how,
                       ADDRESS[!which], NET[which], NET[!which]);
    CHECK(len > 0 && (size_t)len < sizeof lines);
    if (configure(host, lines) != RVL_STATUS_OK) {
        fprintf(stderr, "%s%s", lines, said);
        exit(1);
    }
}

static void begin(Host *left, Host *right)
{
    CHECK(carry(left, right, 1, 2) == RVL_VERDICT_HOLD);
    run(left, right);
    run(right, left);
}

static void stand(const char *of_left, const char *of_right)
{
    Host left, right;
    char text[4096], again[4096];
    size_t length, same;
    configured(&left, 0, of_left);
    configured(&right, 1, of_right);
    begin(&left, &right);
    if (left.up != 1 || right.up != 1) {
        fprintf(stderr, "%s: %s; %s\n", of_left, left.text, right.text);
        exit(1);
    }
    CHECK(carry(&left, &right, 1, 2) == RVL_VERDICT_SECURE_TUNNEL);
    CHECK(carry(&right, &left, 2, 1) == RVL_VERDICT_SECURE_TUNNEL);
    OK(rvl_commands(left.ike, text, sizeof text, &length));
    CHECK(strstr(text, "ce x509 -a ") == text && strstr(text, "ca.pem -d 1\n") != NULL);
    Host third;
    host_open(&third, 0);
    OK(configure(&third, text));
    OK(rvl_commands(third.ike, again, sizeof again, &same));
    CHECK(same == length && strcmp(text, again) == 0);
    host_free(&third);
    host_free(&left);
    host_free(&right);
}

static void fall(const char *of_left, const char *of_right, const char *words)
{
    Host left, right;
    configured(&left, 0, of_left);
    configured(&right, 1, of_right);
    begin(&left, &right);
    CHECK(left.up == 0 && right.up == 0 && left.failed == 1);
    if (strstr(right.text, words) == NULL) {
        fprintf(stderr, "%s: %s\n", of_right, right.text);
        exit(1);
    }
    CHECK(carry(&left, &right, 1, 2) != RVL_VERDICT_SECURE_TUNNEL);
    host_free(&left);
    host_free(&right);
}

int main(void)
{
    directory = getenv("RAVELIN_PAPERS");
    CHECK(directory != NULL);
    stand("-w -u -m RSASIG -c left.pem", "-w -u -m RSASIG -c right.pem");
    stand("-w -u -m RSASIG -c left.pem --own-signatures ike:ecdsa-sha512", "-w -u -m RSASIG -c right.pem --peer-signatures ike:ecdsa-sha512");
    fall("-w -u -m RSASIG -c left.pem", "-w -u -m RSASIG -c right.pem --peer-signatures ecdsa-384", "ECDSA P-256");
    stand("-w -m EAP-MSCHAPV2 --eap-id carol -h password", "-u -m EAP-MSCHAPV2 --eap-id carol -c right.pem -h users");
    fall("-w -m EAP-MSCHAPV2 --eap-id carol -h wrong", "-u -m EAP-MSCHAPV2 --eap-id carol -c right.pem -h users", "carol");
    /* What rustls makes once stays, which valgrind is not to look at. */
    if (getenv("RAVELIN_TLS") != NULL)
        stand("-w -m EAP-TLS --eap-id left.example -c left.pem", "-u -m EAP-TLS --eap-id left.example -c right.pem");
    Host host;
    host_open(&host, 0);
    STATUS(RVL_STATUS_BAD_PARAM, configure(&host, "ce x509 -a right.pem -d 1 -k right.key\n"
                                                  "ike remote -n r -u -r 192.0.2.9 -m EAP-RADIUS -g fqdn:right.example -c right.pem "
                                                  "-h password --radius 192.0.2.7 --radius-accounting 192.0.2.7"));
    CHECK(strstr(said, "--radius-accounting and --radius-authorizers take a daemon") != NULL);
    host_free(&host);
    puts("done");
    return 0;
}
