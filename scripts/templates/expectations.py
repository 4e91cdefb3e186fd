#!/usr/bin/env python3
"""Writes Tests/Fixtures/templates/expectations.json: templates of every construct, and what transformers makes of them.

usage: expectations.py FILE; needs transformers and jinja2. An expectation of null is an error, one of false depends on
Python. `all`: forms of templates in which '@' stands for each of `names`, with the expectations in that order. `cases`:
single ones. `chats`: chat templates, with `conversations` and `variables`.
"""
# ruff: noqa: E501 -- a template is one line here.

import json
import sys

from transformers.utils import chat_template_utils

VALUES = {
    "s": "Hello, Wörld 東京 😀",
    "t": "  a,b,,c \n",
    "e": "",
    "q": 'it\'s "quoted" \\ \n\t\x01\u200b',
    "i": 7,
    "n": -3,
    "f": 2.5,
    "big": 1e16,
    "small": 0.00001,
    "whole": 100.0,
    "yes": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "m": ["b", "A", "c", None, 1.0, True],
    "d": {"b": 1, "a": "x", "items": 5, "n": {"k": [1, {"z": None}]}},
    "users": [{"name": "Bo", "age": 3}, {"name": "al", "age": 5, "tags": ["x"]}, {"name": "Cy", "age": 3}],
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
}

NAMES = [*VALUES, "missing"]
TESTS = (
    "defined undefined none boolean true false integer float number string mapping sequence iterable callable lower upper"
).split()
FILTERS = (
    "length count first last list string upper lower capitalize title trim int float abs tojson join sort unique|list "
    "reverse|list items|list min max sum dictsort default('z') default('z',true) safe escape e wordcount urlencode "
    "tojson(indent=2) tojson(ensure_ascii=true) tojson(sort_keys=true) tojson(separators=(',',':')) indent indent(2,true) "
    "batch(2)|list slice(2)|list center(11) replace('l','LL') round round(1) round(1,'floor') attr('name') truncate(8) "
    "map('string')|list select|list reject('none')|list select('string')|join('-') truncate(8,true,'') forceescape "
    "format string|length"
).split()
METHODS = (
    "upper() lower() title() capitalize() swapcase() strip() lstrip() rstrip() split() split(',') rsplit(',',1) "
    "split(None,1) splitlines() isalpha() isdigit() isspace() isupper() islower() isalnum() startswith('H') "
    "endswith(('a','\\n')) find('l') rfind('l') count('l') index('a') partition(',') rpartition(',') zfill(24) ljust(24,'.') "
    "rjust(24) center(25,'*') replace('l','') replace('','-') removeprefix('He') removesuffix('\\n') casefold() istitle() "
    "isidentifier() isprintable() isnumeric() isdecimal() isascii() expandtabs(4) get('a') get('zz') get('zz',3) items() "
    "keys() values() copy() append(1) pop() count(1) index(1) format(1) join(['a','b']) update({}) __class__ nope"
).split()
OPERATORS = "+ - * / // % ** ~ == != < <= > >= in and or".split()
OPERATORS.append("not in")
SUBSCRIPTS = "[0] [-1] [9] ['a'] [1:] [:-1] [::-1] [::2] [-2:] [1:2] [5:1] [true] [none] ['upper'] [1.0]".split()

EXTRA = r"""
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a','b') }}{{ loop.changed(x > 1) }};{% endfor %}
{% for x in [] %}a{% else %}none{% endfor %}|{% for x in l if x > 5 %}a{% else %}none{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% else %}E{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}
{% for x in l %}{% continue %}{% else %}E{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in d|items %}{{ k }}{% endfor %}{% for k in d %}{{ k }}{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for n in tree recursive %}{{ n.v }}@{{ loop.depth }}{{ loop.depth0 }}[{{ loop(n.c) }}]{% endfor %}
{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}
{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}
{% for y in l %}{{ zz }}{% set zz = y %}{% endfor %}{{ zz }}
{% for y in [1] %}{{ s }}{% endfor %}{% set s = 1 %}{{ s }}
{% if no %}{% set s = 1 %}{% endif %}{{ s }}
{% for y in l %}{% if loop.first %}{% set s = 1 %}{% endif %}{{ s }}{% endfor %}
{% set ns = namespace(a=1, b='x') %}{% for y in l %}{% set ns.a = ns.a + y %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns['b'] }}{{ ns.c is defined }}{{ ns }}
{% set d.x = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set a, b = 1, 'z' %}{{ a }}{{ b }}{% set (c, d2) = [3, 4] %}{{ c }}{{ d2 }}
{% set x %}a{{ i }}b{% set inner = 1 %}{% endset %}{{ x }}{{ inner }}{{ x is string }}
{% set x | upper | replace('A', 'Q') %}abc{% endset %}{{ x }}
{% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1) }}|{{ f(1, 2, 3, 4, k=5) }}|{{ f() }}|{{ f(b=1, a=9) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(z=2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f.name }}{{ f.arguments }}{{ f.catch_kwargs }}{{ f }}
{% macro f() %}<{{ caller('p') }}>{% endmacro %}{% call(x) f() %}{{ x }}{{ i }}{% endcall %}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}
{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}
{% macro f() %}{{ s }}{% endmacro %}{{ f() }}{% set s = 1 %}
{% macro f(x) %}{% set y = x * 2 %}{{ y }}{% endmacro %}{{ f(3) ~ f(4) }}{{ y is defined }}
{% filter upper %}a{{ 'b' }}{% endfilter %}{% filter replace('a', 'b') | trim %} a {% endfilter %}
{% with a = 1, b = i %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a }}{{ c }}
{% generation %}x{% set g = 1 %}{{ g }}{% endgeneration %}{{ g }}
{% raw %}{{ x }} {% if %}{% endraw %}|{%- raw -%}  a  {%- endraw -%}  b
a {#- c -#} b {# d #} c
  {% if yes %}
    x
  {% endif %}
y
  {%+ if yes %}
    x
  {%+ endif +%}
y
a
{%- if yes -%}
   b
{%- endif %}

c
{{ 'a' -}}   b   {{- 'c' }}
{{ 1 if yes else 2 }}{{ 1 if no }}{{ (1 if no) is defined }}{{ 1 if no else 2 if no else 3 }}
{{ not yes }}{{ not not i }}{{ not i == 7 }}{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 3 > 2 == true }}
{{ 2 + 3 * 4 ** 2 // 5 - 1 % 3 }}{{ -2 ** 2 }}{{ 2 ** -1 }}{{ 2 ** 3 ** 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 1 / 3 }}{{ 4 / 2 }}
{{ 'a' ~ 1 ~ none ~ 1.5 ~ [1, 'x'] ~ true ~ missing }}{{ 1 ~ 2 + 3 }}
{{ 'a' 'b' "c" }}{{ '\x41\u00e9\n\t\\\'\"\q\101' }}{{ "\é" }}
{{ 1_000 }}{{ 0x1F }}{{ 0b11 }}{{ 0o17 }}{{ 1e3 }}{{ 1.5e-7 }}{{ 123456789.123 }}{{ 1e22 }}{{ 0.1 + 0.2 }}{{ 1e15 }}{{ 9007199254740993.0 }}
{{ [1, 'a', 2.0, none, true, [], {}, (1,), ()] }}{{ {'a': 1, 2: 'b', none: [1]} }}{{ (1, 2) }}{{ 1, 2 }}
{{ {'a': 1}.a }}{{ {'a': {'b': 2}}['a'].b }}{{ {1: 'x', 1.0: 'y', true: 'z'} }}
{{ d.items }}
{{ d.items() | list }}{{ d['items'] }}{{ d.n.k[1].z }}{{ d.n.k.0 }}{{ d.keys() }}{{ d.values() }}{{ d.items() }}
{{ missing.x }}
{{ d.missing }}{{ d.missing is defined }}{{ d.missing.x }}
{{ missing | length }}{{ missing | list }}{{ missing | upper }}{{ missing | join }}{{ missing == missing2 }}{{ missing in l }}{{ missing or 5 }}
{{ missing + 1 }}
{{ missing | int }}
{{ missing | tojson }}
{{ nil.x is defined }}{{ nil | string }}{{ nil | upper }}{{ nil | default('a') }}{{ nil | default('a', true) }}{{ nil or 3 }}{{ nil is none }}
{{ range(3) }}{{ range(3) | list }}{{ range(1, 10, 3) | list }}{{ range(5, 0, -2) | list }}{{ range(4)[1:] }}{{ range(4)[-1] }}{{ 2 in range(4) }}{{ range(3) | length }}
{{ range(200000) }}
{{ dict(a=1, b=2) }}{{ dict([('x', 1)], y=2) }}{{ dict({'a': 1}) }}
{{ l + [4] }}{{ (1,) + (2,) }}{{ 'ab' * 2 }}{{ [1] * 3 }}{{ 2 * 'ab' }}{{ true + 1 }}{{ l == [3, 1, 2] }}{{ 1 == 1.0 }}{{ 1 == true }}{{ '1' == 1 }}
{{ [1, 2] < [1, 3] }}{{ 'a' < 'b' }}{{ 'Z' < 'a' }}{{ (1, 'a') < (1, 'b') }}
{{ 1 < 'a' }}
{{ users | map(attribute='name') | join(', ') }}{{ users | map(attribute='tags', default='-') | list }}{{ users | map(attribute='tags.0') | list }}
{{ users | selectattr('age', 'equalto', 3) | map(attribute='name') | list }}{{ users | rejectattr('tags') | list | length }}{{ users | selectattr('tags', 'defined') | list | length }}
{{ users | sort(attribute='name') | map(attribute='name') | join }}{{ users | sort(attribute='age,name', reverse=true) | map(attribute='name') | join }}
{{ users | groupby('age') }}{% for g in users | groupby('age') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}
{{ users | sum(attribute='age') }}{{ users | map(attribute='age') | sum(start=10) }}{{ users | max(attribute='age') }}{{ users | min(attribute='name') }}
{{ users | unique(attribute='age') | map(attribute='name') | list }}{{ ['a', 'A', 'b'] | unique | list }}{{ ['a', 'A'] | unique(true) | list }}
{{ l | map('string') | map('upper') | join('+') }}{{ m | select('string') | list }}{{ l | select('gt', 1) | list }}{{ l | reject('odd') | list }}{{ l | select | first }}
{{ d | dictsort }}{{ {'B': 1, 'a': 2} | dictsort }}{{ {'B': 1, 'a': 2} | dictsort(true) }}{{ {'a': 2, 'b': 1} | dictsort(by='value') }}{{ {'a': 2, 'b': 1} | dictsort(reverse=true) }}
{{ 'a%sb%d%r%5.2f|%-5s|%05d|%x|%%' % ('x', 3, 'q', 1.005, 'ab', 42, 255) }}{{ '%s' % 5 }}{{ '%(a)s' % {'a': 1} }}{{ '%s %s' | format(1, 'b') }}
{{ '{} {}'.format(1, 'a') }}{{ '{1}{0}'.format('a', 'b') }}{{ '{x:>5}|{y:.2f}|{z:05d}|{w:,}'.format(x='ab', y=3.14159, z=42, w=1234567) }}{{ '{0[a]}{0[n][k][0]}'.format(d) }}{{ '{!r}'.format('a') }}{{ '{:^7}|{:<4}|{:+d}|{:x}|{:e}|{:%}'.format('a', 'b', 3, 255, 1234.5, 0.25) }}
{{ 'abc' is in 'xabcx' }}{{ 1 is in l }}{{ 'a' in d }}{{ 'z' not in d }}{{ 3 is divisibleby 3 }}{{ 4 is even }}{{ i is odd }}{{ none is sameas none }}{{ 'a' is eq 'a' }}{{ 5 is ge 5 }}{{ 5 is not lt 3 }}
{{ '42' | int }}{{ '4.7' | int }}{{ 'x' | int }}{{ 'x' | int(9) }}{{ 'ff' | int(0, 16) }}{{ ' 12 ' | int }}{{ 3.99 | int }}{{ true | int }}{{ '1_0' | int }}{{ '1e3' | float }}{{ 'x' | float }}{{ '2.5' | float }}
{{ 2.5 | round }}{{ 3.5 | round }}{{ 2.675 | round(2) }}{{ 5 | round }}{{ 1234 | round(-2) }}{{ 1250 | round(-2) }}{{ 2.1 | round(0, 'ceil') }}{{ 7 | round(1, 'ceil') }}{{ -2.5 | round }}
{{ x if x is defined else 'no' }}{{ 'a' if i is defined and i > 3 else 'b' }}{{ i is defined and i is number or missing.x }}
{{ '<b>' | safe }}{{ '<b>' | e }}{{ ('<b>' | safe) + '<i>' }}{{ '<i>' + ('<b>' | safe) }}{{ ('<' | safe) ~ '<' }}{{ '<' | escape | upper }}{{ ['<' | safe, '<'] | join }}{{ [('<' | safe)] }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('|') %}{{ j() }}{{ j() }}
{{ 'a\nb\n\nc' | indent }}{{ 'a\nb' | indent(2, first=true) }}{{ 'a\n\nb' | indent(1, blank=true) }}{{ 'a\nb' | indent('> ') }}
{{ 'foo bar baz qux' | truncate(9) }}{{ 'foo bar baz qux' | truncate(9, true) }}{{ 'foo bar baz qux' | truncate(11) }}{{ 'foo bar baz qux' | truncate(11, False, '...', 0) }}
{{ 'ǆ ß ŉ İ ΑΣ ΣΑ' | upper }}{{ 'ǆ ß ŉ İ ΑΣ ΣΑ' | lower }}{{ 'ǆa ßa' | title }}{{ 'ǆa ß'.title() }}{{ 'ßa'.capitalize() }}{{ "they're bill's".title() }}{{ "they're bill's" | title }}
{{ 'é' | length }}{{ 'e\u0301' | length }}{{ 'é' == 'e\u0301' }}{{ '😀a'[0] }}{{ '😀ab'[1:] }}{{ '東京' | reverse }}
{{ q }}{{ [q] }}{{ q | tojson }}{{ "it's" | tojson }}{{ ["it's", 'a"b', "'\""] }}{{ '\x7f\u2028' | tojson }}{{ ['\x7f\u2028\xa0\xad'] }}{{ '</script>&' | tojson }}
{{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}{{ [1.0, 1e20, 1e-7, true, none, 'é'] | tojson }}{{ 'é😀' | tojson(true) }}{{ [] | tojson(indent=2) }}{{ {'a': [], 'b': {}, 'c': [1, [2]]} | tojson(indent=2) }}{{ {'a': [1]} | tojson(indent='--') }}{{ [1, 2] | tojson(indent=0) }}{{ (1, 2) | tojson }}
{{ l | tojson | safe }}{{ messages | tojson(separators=(',', ':')) }}{{ d | tojson(indent=4, sort_keys=true) }}
{{ [1, 2, 3, 4, 5] | batch(2, '-') | list }}{{ [1, 2, 3, 4, 5] | slice(3) | list }}{{ [1, 2, 3, 4, 5] | slice(3, 'x') | list }}
{{ l | select('nope') | list }}
{{ l | nope }}
{% if no %}{{ l | nope }}{{ l is nope }}{% endif %}ok
{{ l is nope }}
{{ l | map('nope') }}
{{ (l | map('string')) is iterable }}{{ (l | map('string')) is sequence }}{{ (l | select('gt', 9)) | length }}
{% if l | select('gt', 9) %}true{% else %}false{% endif %}{% set g = l | select('gt', 1) %}{{ g | list }}{{ g | list }}
{{ raise_exception('no ' ~ i) }}
{% if i > 100 %}{{ raise_exception('x') }}{% endif %}fine
{{ s.upper }}
{{ s.__class__ is defined }}{{ s.__class__ }}{{ s._x is defined }}
{{ l.append(4) }}
{{ d.update({'q': 1}) }}
{{ l.0 }}{{ l[0] }}{{ l.-1 }}
{{ l[-1] }}{{ l['0'] is defined }}{{ l[99] is defined }}{{ s[99] }}{{ d[l] is defined }}
{{ l[1:][0] }}{{ l[:none] }}{{ l[missing:] }}
{{ nil[1:] }}
{{ messages[0].content }}{{ messages[-1]['role'] }}{{ messages[1:] | length }}{{ messages[::-1][0].role }}
{{ messages | map(attribute='content') | map('length') | list }}{{ (messages | last).role }}{{ messages | length - 1 }}
{% print 1, 'a' %}
{% include 'x' %}
{% do 1 %}
{% if yes: %}colon{% endif %}
{% if yes %}{% elif no %}{% else %}{% endif %}{% if no %}1{% elif yes %}2{% else %}3{% endif %}
{{ 'unclosed }}
{{ (1 }}
{% if yes %}
{% endif %}
{{ 1 + }}
{{ }}
{% set %}
{% for in l %}{% endfor %}
{% break %}
{{ f(a=1, 2) }}
{{ dict(**{'a': 1}) }}{{ range(*[1, 3]) | list }}{{ '{}{}'.format(*'ab') }}
{{ lipsum is defined }}{{ dict is callable }}{{ range is defined }}{{ namespace is callable }}
{{ 'x' is callable }}{{ missing is callable }}{{ missing is sequence }}{{ missing is iterable }}{{ d is iterable }}{{ 5 is iterable }}{{ true is number }}{{ 1.0 is integer }}
{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}{{ -true }}{{ +i }}{{ -f }}{{ - i }}
{{ 'a' and 'b' }}{{ '' or 'c' }}{{ 0 and 1 }}{{ none or [] or 'z' }}{{ (not none) }}
{{ 'A' | lower ~ 'B' | lower }}{{ -1 | abs }}{{ (-1) | abs }}{{ 'x' ~ 1 + 2 }}{{ 2 * 3 | string }}
{{ loop is defined }}{% for x in [1] %}{{ loop }}{% endfor %}{{ loop is defined }}
{% for x in missing %}a{% else %}b{% endfor %}{% for c in 'aé' %}[{{ c }}]{% endfor %}
{% for x in nil %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for m in messages %}{% if m.role == 'user' %}{% set u = m.content %}{% else %}{{ u }}{% endif %}{% endfor %}
{%- set found = namespace(v=false) -%}{%- for m in messages if m.role == 'assistant' -%}{%- set found.v = true -%}{%- endfor -%}{{ found.v }}
{% set loop_messages = messages[1:] %}{% for message in loop_messages %}{% set content = message['content'] %}{{ content }}{% endfor %}{{ content }}
{{ 1.0 }}{{ 1e100 }}{{ 1e-5 }}{{ 0.0001 }}{{ 1e16 }}{{ 123456789012345680.0 }}{{ -0.0 }}{{ 5e-324 }}{{ 1.7976931348623157e308 }}
{{ 'abc'.startswith('a', 1) }}{{ 'abc'.find('c', -1) }}{{ 'abcabc'.rfind('abc', 0, 5) }}{{ 'aaa'.count('aa') }}{{ 'aaa'.rsplit('aa') }}{{ ''.split(',') }}{{ ''.split() }}{{ 'a,b'.split(sep=',', maxsplit=1) }}
{{ 'a' < 1 }}
{{ [1] in [[1]] }}{{ {'a': 1} == {'a': 1.0} }}{{ (1, 2) == [1, 2] }}{{ {} == [] }}{{ none == false }}
{{ 'a' in 5 }}
{{ 5 in 'a' }}
{{ s | replace('l', 'L', 1) }}{{ s | replace(1, 2) }}{{ 'aaa' | replace('a', 'b', count=2) }}{{ 5 | replace(5, 6) }}
{{ 10 // 0 }}
{{ '%a|%-6a|%.3a' % ('é', [1], 'abc') }}{{ '{!a:>9}'.format('é') }}{{ '{!a}'.format(['\u200b😀']) }}
{{ range(5)[1:0:3] }}{{ range(9)[::-2] }}{{ range(3)[5:] }}{{ range(2, 20, 3)[-1:0:-2] }}{{ range(9)[2:][1:] | list }}
{{ ('<b>' | e) | list }}{{ ('<b>' | safe)[0] is escaped }}{% for c in '<' | safe %}{{ c is escaped }}{% endfor %}
{{ '{:.2d}'.format(3) }}
{{ '{:,x}'.format(255) }}
{{ '{:_n}'.format(255) }}
{{ 2.0 ** 1e16 }}
{{ nothing.x ** 2 }}
{{ (0 * -1.0) // 7 }}{{ -0.1 | round(0, 'ceil') }}{{ -7.0 // 7 }}{{ 0.0 // -7 }}
{% filter length %}abc{% endfilter %}
{% filter upper | length | string %}abc{% endfilter %}
{% macro outer(a) %}{% macro inner(b) %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call inner(2) %}{{ a }}c{% endcall %}{% endmacro %}{{ outer(1) }}
{% for x in l %}{% set y = loop.cycle('a', 'b') %}{{ y }}{{ loop.changed(y, x > 1) }}{% else %}{% endfor %}{{ y is defined }}
{% for k, v in users | groupby('age') %}{% for u in v if u.tags %}{{ loop.index }}{{ u.name }}{% else %}-{% endfor %}{{ loop.index }}{{ k }}{% endfor %}
{{ dict(missing) }}
{{ dict(d.missing, a=1) }}
{{ '{:-5}'.format('é') }}
{{ '{:-5}|{:->5}|{:-5.1f}'.format(3, 'é', 2) }}
{{ '%5%' % () }}
{{ '%(a)%' % {'a': 1} }}
{{ '%5%' % {'a': 1} }}
{{ '%%' % {'a': 1} }}
{{ l is filter }}
{{ d is test }}
{{ 'upper' is filter }}{{ 'upper' is test }}{{ missing is filter }}{{ (1, 2) is test }}{{ nil is filter }}
{{ range(4).index(2, 1) }}
{{ range(4).index(2) }}{{ range(4).count(2) }}{{ l.index(2, 1) }}
{{ 'x' * -1 }}{{ [] * 5 }}{{ 7 // 2.0 }}{{ 7 % -3 }}{{ 2 ** 0.5 }}{{ 10 ** 2 }}
""".strip("\n")


CHATS = [
    # Tools, calls of them and their results, thoughts, generation marks and a macro.
    r"""
{%- macro describe(tool, level=1) -%}
{{ '#' * level }} {{ tool.function.name }}({{ tool.function.parameters.properties | join(', ') }})
{%- endmacro -%}
{{- bos_token -}}
{%- if messages[0].role == 'system' %}
  {%- set system = messages[0].content %}
  {%- set turns = messages[1:] %}
{%- else %}
  {%- set turns = messages %}
{%- endif %}
{%- if tools or system is defined %}
{{- '[system]' -}}
{{ system | default('none') | trim }}
{% for tool in tools or [] %}
{{ describe(tool, level=2) }} {{ tool | tojson }}
{% endfor %}
[/system]
{% endif %}
{%- set ns = namespace(calls=0, last=-1) %}
{%- for m in turns %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for message in turns %}
  {%- if (message.role == 'user') != (loop.index0 % 2 == 0) and not message.tool_calls and message.role != 'tool'
      and not tools %}
    {{- raise_exception('roles must alternate, not ' ~ message.role) }}
  {%- endif %}
  {%- if message.role == 'assistant' %}
[assistant]{% generation %}
    {%- if message.reasoning_content and loop.index0 > ns.last %}<think>{{ message.reasoning_content }}</think>{% endif %}
    {{- message.content.split('</think>')[-1].lstrip('\n') if message.content is string else '' }}
    {%- for call in message.tool_calls or [] %}
      {%- set ns.calls = ns.calls + 1 %}
<call {{ ns.calls }}>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</call>
    {%- endfor %}{% endgeneration %}[/assistant]
  {%- elif message.role == 'tool' %}
[result of={{ message.name }}]{{ message.content }}[/result]
  {%- else %}
[{{ message.role }}]{{ message.content | e if escape else message.content }}[/{{ message.role }}]
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
[assistant]{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}
{% endif %}
""",
    # One loop, with what stands around it told by the loop itself.
    r"""{% for message in messages %}
{% if loop.first and message['role'] != 'system' %}<|system|>
{{ default_system }}{{ eos_token }}
{% endif %}
<|{{ message['role'] }}|>
{{ message['content'] }}{{ eos_token if not loop.last or not add_generation_prompt }}
{% if loop.last and add_generation_prompt %}<|assistant|>
{% endif %}{% endfor %}""",
]


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **others):
    return {"role": "assistant", "content": content, **others}


CALL = assistant(
    "",
    tool_calls=[{"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": [2, None, True, 'é"<']}}}],
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds.",
            "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "array"}}},
        },
    }
]
CONVERSATIONS = [
    {"messages": [user("What is 2+2?")]},
    {"messages": [{"role": "system", "content": " Be brief. "}, user("hi")]},
    {"messages": [user("a"), assistant("b"), user("c")]},
    {"messages": [user("a"), user("b")]},
    {"messages": [user("{{ 7*7 }} {% if %} naïve 東京 😀")]},
    {"messages": [user("q"), assistant("<think>\nwhy\n</think>\n\nbecause"), user("r")]},
    {"messages": [user("a"), assistant("b", reasoning_content="hm")], "add_generation_prompt": False},
    {
        "messages": [user("add"), CALL, {"role": "tool", "content": "3", "name": "add"}, assistant("It is 3.")],
        "tools": TOOLS,
    },
    {"messages": [user("")], "enable_thinking": False},
    {"messages": [user("<b>&")], "escape": True, "default_system": "S"},
]
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}


def forms():
    """Forms in which '@' stands for a name."""
    yield from (f"{{{{ @ is {test} }}}}" for test in TESTS)
    yield from (f"{{{{ @ | {each} }}}}" for each in FILTERS)
    yield from (f"{{{{ @.{method} }}}}" for method in METHODS)
    yield from (f"{{{{ @{subscript} }}}}" for subscript in SUBSCRIPTS)
    yield "{{ @ }}{{ [@] }}{{ not @ }}{{ -@ }}"
    yield "{% for x in @ %}{{ x }}{{ loop.last }}{% else %}E{% endfor %}"
    for number, operator in enumerate(OPERATORS):
        others = ["s", "i", "f", "l", "nil", "yes", "d", "missing", "n"]
        # A third of the pairs, another third for each operator.
        yield from (f"{{{{ @ {operator} {other} }}}}" for other in others[number % 3 :: 3])


def single():
    lines = EXTRA.split("\n")
    yield from lines
    yield EXTRA[EXTRA.index("  {% if yes %}\n") : EXTRA.index("{{ 'a' -}}")]


def rendered(template, variables):
    try:
        text = chat_template_utils._compile_jinja_template(template).render(**json.loads(json.dumps(variables)))
    except Exception:
        return None
    # What Python alone has: addresses of objects, and attributes that even an undefined value has.
    return False if "missing.__" in template or ("0x" in text and "object" in text) or "bound method" in text else text


def chat(template, conversation):
    variables = {**VARIABLES, **conversation}
    messages, tools = variables.pop("messages"), variables.pop("tools", None)
    prompt = variables.pop("add_generation_prompt", True)
    try:
        texts, _ = chat_template_utils.render_jinja_template(
            [json.loads(json.dumps(messages))],
            tools=tools,
            chat_template=template,
            add_generation_prompt=prompt,
            **variables,
        )
    except Exception:
        return None
    return texts[0]


def main():
    result = {"context": VALUES, "names": NAMES, "variables": VARIABLES, "conversations": CONVERSATIONS}
    result["all"] = [[form, [rendered(form.replace("@", name), VALUES) for name in NAMES]] for form in forms()]
    result["cases"] = [[text, rendered(text, VALUES)] for text in dict.fromkeys(single())]
    result["chats"] = [[text, [chat(text, conversation) for conversation in CONVERSATIONS]] for text in CHATS]
    with open(sys.argv[1], "w") as file:
        parts = []
        for key, value in result.items():
            # One form a line: a change is one, too.
            lines = [json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in value]
            if isinstance(value, dict):
                parts.append(f'"{key}":' + json.dumps(value, ensure_ascii=False, separators=(",", ":")))
            else:
                parts.append(f'"{key}":[\n' + ",\n".join(lines) + "\n]")
        file.write("{" + ",\n".join(parts) + "}\n")


if __name__ == "__main__":
    main()
