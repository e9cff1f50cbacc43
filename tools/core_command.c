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
	const char *path;

	/* core FILE stat ..., where what follows is as for a process, without its number */
	if (argc >= 3 && strcmp(argv[2], "stat") == 0) {
		stat_core(argc - 2, argv + 2, argv[1]);
	} else if (argc >= 3 && strcmp(argv[2], "map") == 0) {
		path = map_options(argc - 2, argv + 2);
		if (optind != argc - 2)
			usage("core");
		target_open_core(&t, argv[1]);
		map_write(&t, path);
		target_close(&t);
	} else {
		usage("core");
	}
	return STATUS_OK;
}
