// A key of the legend picks one allocator out; a mark under the pointer tells its figures.
(function () {
	var tip = document.getElementById('tip'), rule = document.createElement('style');
	document.head.appendChild(rule);
	document.querySelectorAll('.key').forEach(function (key) {
		key.addEventListener('click', function () {
			var on = key.getAttribute('aria-pressed') !== 'true';
			document.querySelectorAll('.key').forEach(function (k) {
				k.setAttribute('aria-pressed', 'false');
			});
			key.setAttribute('aria-pressed', String(on));
			rule.textContent = on ? 'section .m:not(.' + key.dataset.a + '){opacity:.1}' : '';
		});
	});
	document.addEventListener('pointermove', function (e) {
		var at = e.target.closest ? e.target.closest('[data-tip]') : null;
		tip.hidden = !at;
		if (!at)
			return;
		tip.textContent = at.dataset.tip;
		var right = e.clientX + 14 + tip.offsetWidth > innerWidth;
		tip.style.left = (right ? e.clientX - 14 - tip.offsetWidth : e.clientX + 14) + 'px';
		tip.style.top = (e.clientY + 16) + 'px';
	});
})();
