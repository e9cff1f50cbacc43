/*
 * core_command.c: `phkmalloc core`: stat and map of what a core file kept.
 */
#include "map.h"
#include "stat.h"

#include <string.h>
#include <unistd.h>

int
command_core(int argc, char **argv)
{
	struct target t;

	/* core FILE stat ..., where what follows is as for a process, without its number */
	if (argc >= 3 && strcmp(argv[2], "stat") == 0) {
		enum stat_format format = stat_options(argc - 2, argv + 2);

		if (optind != argc - 2)
			usage("core");
		target_open_core(&t, argv[1]);
		stat_print(&t, format);
	} else if (argc >= 3 && strcmp(argv[2], "map") == 0) {
		const char *path = map_options(argc - 2, argv + 2);

		if (optind != argc - 2)
			usage("core");
		target_open_core(&t, argv[1]);
		map_write(&t, path);
	} else {
		usage("core");
	}
	target_close(&t);
	return STATUS_OK;
}
