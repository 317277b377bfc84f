/* stat_test.h - are two samples different, or is it chance? Two-sided tests on counts. Pure.
 *
 * Every p is the probability of a difference at least as large where there is none, 0 to 1. */
#ifndef COLLECTOR_AGGREGATE_STAT_TEST_H
#define COLLECTOR_AGGREGATE_STAT_TEST_H

#include "model/hist.h"

/* Shares: k of n here and there. Fisher's exact test: adds up all tables with the same margins that
 * are not likelier than the one seen. For small counts; costs as many steps as the least margin. */
double stat_fisher(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);
/* The same question for large counts: z of the difference with the pooled share, no continuity
 * correction (the square root of the chi-squared statistic of the table). */
double stat_two_proportions(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);
/* Least count to be expected in the table if there were no difference; below 5 the exact test is
 * the one to use (Cochran's rule). */
double stat_least_expected(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);

/* Are values of b larger than those of a? Mann-Whitney's U (1947) on histogram buckets: what lies in
 * one bucket is a tie; normal approximation with tie and continuity correction. *ret_larger: the
 * probability that a value of b is larger than one of a, ties counted half (0.5: no shift). 1 when
 * either is empty. */
double stat_mann_whitney(const struct hist *a, const struct hist *b, double *ret_larger);

/* Do n1 events in t1 and n2 in t2 come at one rate? Given their sum, n1 is binomial with the share
 * of the time (Przyborowski and Wilenski 1940): exact up to a thousand events, then normal. Times
 * in any unit, positive. */
double stat_rates(uint64_t n1, double t1, uint64_t n2, double t2);

/* Many tests find something by chance. Benjamini and Hochberg (1995): replaces each p by the least
 * share of false discoveries at which it would count as one. -1 when memory is out. */
int stat_benjamini_hochberg(double *p, size_t n) MUST_USE;

#endif
