-- A small shop in memory: rows in, an index, joins, updates, deletions.
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE sale (id INTEGER PRIMARY KEY, customer INT, item TEXT, amount REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO customer SELECT i, 'customer ' || i, 'city ' || (i * 7919 % 311) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
INSERT INTO sale SELECT i, i * 31 % 20000 + 1, 'item ' || (i * 17 % 1009), i % 997 / 3.0,
	substr('some words that were said about it', i % 20 + 1, i % 17) FROM n;
CREATE INDEX sale_customer ON sale (customer, item);
SELECT city, count(*), round(sum(amount), 2), max(note) FROM sale JOIN customer
	ON customer.id = sale.customer GROUP BY city ORDER BY 3 DESC LIMIT 5;
SELECT length(group_concat(item || ':' || note)) FROM sale WHERE customer % 3 = 0;
UPDATE sale SET note = note || ' and again ' || item WHERE id % 4 = 0;
DELETE FROM sale WHERE id % 5 = 1;
SELECT count(DISTINCT item || note), sum(length(note)) FROM sale;
SELECT a.item, count(*) FROM sale a JOIN sale b ON a.customer = b.customer AND a.id < b.id
	GROUP BY a.item ORDER BY 2 DESC, 1 LIMIT 5;
