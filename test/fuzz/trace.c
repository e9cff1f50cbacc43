/*
 * Fuzzed: trace files, damaged in any way. Every block and every record that can be read is.
 */
#include "../../tools/trace_read.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	static uint8_t buffer[TRACE_BLOCK_NBYTES];
	struct trace_file f;

	if (trace_file_read(&f, data, nbytes)) {
		uint64_t sum = 0;

		for (size_t i = 0; i < f.place_count; i++) {
			const void *block = trace_file_block(&f, &f.places[i], buffer);
			struct trace_decoder decoder;
			struct trace_record r;

			if (block == NULL || !trace_decoder_start(&decoder, block, f.places[i].block.nbytes))
				continue;
			while (trace_decode(&decoder, &r)) {
				sum += r.size + r.address;
				for (uint32_t k = 0; k < r.data_nbytes; k++)
					sum += r.data[k];
			}
		}
		__asm__ volatile("" : : "r"(sum));
		trace_file_close(&f);
	}
	return 0;
}
