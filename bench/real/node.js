// Buffers outside the script engine's heap, JSON, maps, and compression.
const zlib = require('zlib');
let sum = 0;
for (let round = 0; round < Number(process.argv[2]); round++) {
	const rows = [];
	for (let i = 0; i < 8000; i++)
		rows.push({ id: i, name: 'row ' + (i * (round + 7)) % 997,
			data: [i, i * 2, 'x'.repeat(i % 50)] });
	const text = JSON.stringify(rows);
	const parts = [];
	for (let at = 0; at < text.length; at += 3001)
		parts.push(Buffer.from(text.slice(at, at + 3001)));
	const packed = parts.map(b => zlib.deflateSync(b, { level: 1 }));
	const whole = Buffer.concat(packed.map(b => zlib.inflateSync(b))).toString();
	const index = new Map(JSON.parse(whole).map(r => [r.name + r.id, r]));
	sum += index.size + whole.length;
}
console.log(sum);
