/*
 * tree: an ordered map (a treap), each node with a string of its own; random keys
 * are put in when absent and taken out when present. The pattern of compilers and
 * of simulations: what is allocated is walked, so its placement counts.
 *
 * usage: tree [operations [keys]]
 */
#include "common.h"

struct node {
	struct node *left, *right;
	char *name;
	uint64_t key, weight;
};

static struct node *
node_new(uint64_t key, uint64_t weight)
{
	struct node *n = malloc(sizeof(*n));
	size_t length = 8 + (weight >> 40 & 31);

	if (n == NULL || (n->name = malloc(length)) == NULL)
		bench_die("out of memory");
	memset(n->name, 'a' + (int)(key % 26), length);
	n->left = n->right = NULL;
	n->key = key;
	n->weight = weight;
	return n;
}

static void
node_free(struct node *n)
{
	free(n->name);
	free(n);
}

/* Cut a tree into the keys below `key` and the others. */
static void
tree_split(struct node *n, uint64_t key, struct node **low, struct node **high)
{
	while (n != NULL) {
		if (n->key < key) {
			*low = n;
			low = &n->right;
			n = n->right;
		} else {
			*high = n;
			high = &n->left;
			n = n->left;
		}
	}
	*low = *high = NULL;
}

static struct node *
tree_join(struct node *low, struct node *high)
{
	struct node *root = NULL, **at = &root;

	while (low != NULL && high != NULL) {
		if (low->weight > high->weight) {
			*at = low;
			at = &low->right;
			low = low->right;
		} else {
			*at = high;
			at = &high->left;
			high = high->left;
		}
	}
	*at = low != NULL ? low : high;
	return root;
}

/* Take the key out if it is there, else put it in. */
static void
tree_toggle(struct node **at, uint64_t key, uint64_t weight)
{
	struct node *n;

	while ((n = *at) != NULL && n->key != key && n->weight >= weight)
		at = key < n->key ? &n->left : &n->right;
	for (struct node **b = at; (n = *b) != NULL; b = key < n->key ? &n->left : &n->right) {
		if (n->key == key) {
			*b = tree_join(n->left, n->right);
			node_free(n);
			return;
		}
	}
	n = node_new(key, weight);
	tree_split(*at, key, &n->left, &n->right);
	*at = n;
}

static void
tree_free(struct node *n)
{
	if (n == NULL)
		return;
	tree_free(n->left);
	tree_free(n->right);
	node_free(n);
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 5000000);
	size_t keys = bench_arg(argc, argv, 2, 60000);
	uint64_t rng = rng_seed(3);
	struct node *root = NULL;

	for (uint64_t i = 0; i < todo; i++) {
		uint64_t key = rng_below(&rng, keys);

		tree_toggle(&root, key, rng_next(&rng));
	}
	tree_free(root);
	bench_print("ops", todo);
	return 0;
}
