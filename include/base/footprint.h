/* footprint.h - what a program that has started no longer needs in memory. */
#ifndef BASE_FOOTPRINT_H
#define BASE_FOOTPRINT_H

/* Lets go of code and constants that were needed until now, and of free memory at the heap's end. What
 * is needed again comes back from the page cache, as at the first use. For the moment when starting is
 * over; costs some hundred microseconds, now and spread over what follows. One thread. */
void footprint_shrink(void);

#endif
