/*
 * A C++ program to be recorded: so many objects by every form of new and delete as its argument
 * says.
 */
#include <cstdlib>
#include <new>

struct alignas(128) Wide {
	char bytes[300];
};

int
main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1;

	for (long i = 0; i < n; i++) {
		delete new int(1);
		delete[] new char[100];
		::operator delete(::operator new(40, std::nothrow), std::nothrow);
		delete new Wide;
	}
	return 0;
}
