/* SPDX-License-Identifier: MIT */
/* The end of a VM whose vCPU asks for a snapshot meanwhile: the gate that it closes must not keep any vCPU. */
#include "machine/pause.h"

#include <linux/kvm.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define VCPUS 3u

static struct ring ring;
static struct pause pause_;
static struct vcpu vcpus[VCPUS];
static struct kvm_run runs[VCPUS];
static atomic_uint n_through;

static void stopped(void *context)
{
	(void)context;
}

static void set_up(void)
{
	for (unsigned i = 0; i < VCPUS; i++)
		vcpus[i] = (struct vcpu){ .index = i, .run = &runs[i] };
	pause_open(&pause_, vcpus, VCPUS, &ring, stopped, NULL);
	n_through = 0;
}

/* As cpu/vcpu.c comes to the gate after EINTR. */
static void *pass(void *unused)
{
	gate_pass(&pause_.gate);
	n_through++;
	return unused;
}

static void all_come_through(void)
{
	pthread_t threads[VCPUS];

	for (unsigned i = 0; i < VCPUS; i++)
		CHECK(pthread_create(&threads[i], NULL, pass, NULL) == 0);
	for (unsigned i = 0; i < 500 && n_through < VCPUS; i++)
		usleep(10000);
	CHECK_EQ(n_through, VCPUS);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(threads[i], NULL);
}

/* The event loop has not heard of it: it has left for the end. */
static void test_asked_before_the_end(void)
{
	set_up();
	pause_close_gate(&pause_);
	pause_end_for_good(&pause_);
	all_come_through();
	pause_close(&pause_);
}

static void test_asked_after_the_end(void)
{
	set_up();
	pause_end_for_good(&pause_);
	pause_close_gate(&pause_);
	all_come_through();
	pause_close(&pause_);
}

static void test_paused_at_the_end(void)
{
	set_up();
	pause_begin(&pause_);
	CHECK_EQ(pause_.state, PAUSE_STOPPING);
	pause_end_for_good(&pause_);
	CHECK_EQ(pause_.state, PAUSE_RUNNING);
	all_come_through();
	pause_close(&pause_);
}

int main(void)
{
	RUN(test_asked_before_the_end);
	RUN(test_asked_after_the_end);
	RUN(test_paused_at_the_end);
	return 0;
}
