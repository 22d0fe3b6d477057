/* What the parts of this program know of each other. All of it is called with the lock of lwIP's core held, unless it says otherwise. */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>

#include "lwip/netif.h"
#include "ravelin.h"

/* The longest frame of the link without its Ethernet header. */
enum { LINK_MTU = 1500 };

/* protect.c: the engine between IP and the link. */

/* Puts `engine` under a netif whose init function has set `output` and `output_ip6` to what sends packets over its link. */
void protect_netif(struct netif *netif, RvlHandle engine);
/* Takes an Ethernet frame from the link, as `netif->input`. */
err_t protect_input(struct pbuf *frame, struct netif *netif);
/* Offers the packets on hold again, now that there is an SA. */
void protect_release(void);

/* keys.c: IKE, over lwIP's UDP. */

/* Binds ports 500 and 4500 for `ike`, which keys `engine`. */
err_t keys_open(RvlHandle ike, RvlHandle engine);
/* Does what is due; when to call again, at the latest. */
uint64_t keys_poll(void);

/* Nanoseconds of a clock that never goes back. Takes no lock. */
uint64_t now(void);

#endif
