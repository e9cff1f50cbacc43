/*
 * catch.cc: makes a call for a new that must not throw.
 *
 * The one thing that C cannot do. The symbols it needs are weak: in a program without libstdc++
 * there is nothing to catch, and the library still depends on libc alone. No state.
 */
__asm__(".weak __gxx_personality_v0\n.weak __cxa_begin_catch\n.weak __cxa_end_catch");

extern "C" bool api_threw(void (*call)(void *), void *arg);

/* Makes the call; whether it threw. */
extern "C" bool
api_threw(void (*call)(void *), void *arg)
{
	try {
		call(arg);
	} catch (...) {
		return true;
	}
	return false;
}
