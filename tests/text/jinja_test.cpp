// The part of Jinja that chat templates use; results as Jinja2 gives them with trim_blocks and
// lstrip_blocks.
#include "text/jinja.h"

#include "support.h"

namespace caprl {
namespace {

std::string render(std::string_view source) {
  const nlohmann::json variables = {
      {"s", "text"},
      {"n", 3},
      {"no", nullptr},
      {"list", {"a", "b"}},
      {"map", {{"key", "value"}}},
      {"people", {{{"name", "Ann"}, {"age", 3}}, {{"name", "Bob"}, {"age", 4}}}}};
  return render_jinja(source, variables, "T");
}

struct Case {
  const char* source;
  const char* expected;
};

TEST(Jinja, Renders) {
  const Case cases[] = {
      {"plain\n", "plain"},
      {"two\n\n", "two\n"},
      {"{{ s }} {{ 'a' + \"b\" ~ 'c' }} {{ n + 1 }}", "text abc 4"},
      {"{{ '\\n\\t\\'\\\\' }}{{ '}}' }}", "\n\t'\\}}"},
      {"{{ list[1] }}{{ map.key }}{{ map['key'] }}", "bvaluevalue"},
      {"  {% if n %}  x  {% endif %}  \ny", "  x    \ny"},
      {"a\n  {% if n %}\n  x\n  {% endif %}\nb", "a\n  x\nb"},
      {"a\n  {%+ if n %}x{% endif %}", "a\n  x"},
      {"{% if n +%}\nx{% endif %}", "\nx"},
      {"a  {%- if n -%}  x  {%- endif -%}  b", "axb"},
      {"a {{- s -}} b", "atextb"},
      {"{{ s }}\n\n{{ s }}", "text\n\ntext"},
      {"a{# {{ broken #}b\n{#- x -#}\n c", "abc"},
      {"{% if no %}1{% elif s == 'text' %}2{% else %}3{% endif %}", "2"},
      {"{% if undefined %}1{% else %}3{% endif %}", "3"},
      {"{% if undefined is defined or s is not string %}1{% else %}2{% endif %}", "2"},
      {"{% if no is none and not undefined and 'a' in list and 'z' not in list %}1{% endif %}",
       "1"},
      {"{% if 'ex' in s and 'key' in map and not ('x' in map) %}1{% endif %}", "1"},
      {"{% if undefined != 'x' and undefined.attribute is defined %}1{% endif %}", "T"},
      {"{{ s or undefined.attribute }}{{ undefined or s }}", "texttext"},
      {"{% if false and undefined.attribute + 1 %}{% endif %}x", "x"},
      {"{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ x }}{% if not loop.last %},{% endif "
       "%}"
       "{% endfor %}",
       "10a,21b"},
      {"{% for x in list %}{% if loop.first %}{{ loop.length }}{% endif %}{% endfor %}", "2"},
      {"{% for x in list %}{% for y in list %}{{ x + y }}{% endfor %}{% endfor %}", "aaabbabb"},
      {"{% for x in [] %}{% endfor %}", ""},
      {"{% set x = 'v' %}{{ x }}", "v"},
      {"{% set x = 'o' %}{% for y in list %}{% set x = y %}{% endfor %}{{ x }}", "o"},
      {"{% set ns = namespace(v='o', w=1) %}{% for y in list %}{% set ns.v = y %}{% endfor %}"
       "{{ ns.v }}",
       "b"},
      {"{% if no %}{{ raise_exception('x') | upper }}{% for a, b in c %}{% else %}{% endfor %}"
       "{% set x = 1 | y %}{% endif %}ok",
       "ok"},
      {"{{ undefined }}{{ no }}{{ n == 3 }}", "NoneTrue"},
      {"{{ ' a '.strip() }}{{ ('\\na\\n' | trim) + 'xax'.strip('x') + ' b'.lstrip() + 'b "
       "'.rstrip() }}",
       "aaabb"},
      {"{{ '\u3000a\u00a0' | trim }}", "a"},
      {"{{ list[::-1][0] }}{{ list[-1] }}{{ list[1:][0] }}{{ list[:-1] | length }}", "bbb1"},
      {"{{ 'a,b,c'.split(',')[1] }}{{ s.startswith('te') }}{{ s.endswith('x') }}", "bTrueFalse"},
      {"{{ list | length - 1 }} {{ -n + 5 * 2 }}{{ 7 % 4 }}{{ -7 // 2 }}", "1 73-4"},
      {"{{ 'y' if n > 2 else undefined.attribute }}{{ (list if no else 'z') }}", "yz"},
      {"{{ 'y' if no is not none }}{{ 1 if n <= 3 and n >= 3 else 2 }}", "1"},
      {"{% for x in list if x != 'a' %}{{ loop.length }}{{ x }}{% endfor %}", "1b"},
      {"{{ (people | selectattr('age', 'equalto', 3) | list | first).name }}"
       "{{ (people | rejectattr('age', 'equalto', 3) | last).name }}",
       "AnnBob"},
      {"{{ missing | default('d') }}{{ s | upper }}{{ map.get('no', 'n') }}{{ 'aXa'.replace('a', "
       "'bb') }}",
       "dTEXTnbbXbb"},
      {"{{ '\u00e9ab' | length }}{{ [1, 2] | length }}{{ (['x'] + list)[1] }}{{ map | tojson }}",
       "32a{\"key\":\"value\"}"},
      {"{% generation %}a{% endgeneration %}{{ true is true }}{{ false is not false }}",
       "aTrueFalse"},
  };
  for (const Case& one : cases) {
    if (std::string_view(one.expected) == "T") {
      EXPECT_TRUE(input_error([&] { render(one.source); }).starts_with("T: ")) << one.source;
    } else {
      EXPECT_EQ(render(one.source), one.expected) << one.source;
    }
  }
}

TEST(Jinja, RejectsWhatItDoesNotKnow) {
  const Case cases[] = {
      {"{{ s | title }}", R"~(T: filter "title" is not supported in "s | title")~"},
      {"{{ s.swapcase() }}", R"~(T: method "swapcase" is not supported in "s.swapcase()")~"},
      {"{{ s[1:] }}", R"~(T: a slice needs a list and a step that is not 0 in "s[1:]")~"},
      {"{{ list }}", R"~(T: a list, a mapping or a fraction cannot be printed: "list")~"},
      {"{{ s + n }}", R"~(T: "+" needs two strings, two lists or two integers in "s + n")~"},
      {"{{ n < s }}", R"~(T: "<" needs two numbers or two strings in "n < s")~"},
      {"{{ n % 0 }}", R"~(T: "%" by 0 is not supported in "n % 0")~"},
      {"{{ s is divisibleby }}",
       R"~(T: test "divisibleby" is not supported in "s is divisibleby")~"},
      {"{{ raise_exception('no ' + s) }}",
       R"~(T: the template refuses this conversation: no text in "raise_exception('no ' + s)")~"},
      {"{{ now() }}", R"~(T: function "now" is not supported in "now()")~"},
      {"{{ 'a\\x41' }}", R"~(T: string escape in 'a\x41' is not supported)~"},
      {"{{ 1.5 }}", R"~(T: expected a name after "." in "1.5")~"},
      {"{{ s", R"~(T: the tag at byte 0 has no end "}}")~"},
      {"{% if s %}", R"~(T: "if" has no end)~"},
      {"{% for x in list %}", R"~(T: "for" has no end)~"},
      {"{% endif %}", R"~(T: "endif" without a beginning)~"},
      {"{% if s %}{% endfor %}", R"~(T: "endfor" inside an if)~"},
      {"{% for x in list %}{% endif %}", R"~(T: "endif" inside a for)~"},
      {"{% for x in s %}{% endfor %}",
       R"~(T: "for x in s" is not supported: it needs one name and a list)~"},
      {"{% macro m() %}{% endmacro %}", R"~(T: statement "macro m()" is not supported)~"},
      {"{% set x %}a{% endset %}", R"~(T: statement "set x" is not supported)~"},
      {"{% set y.z = 1 %}", R"~(T: cannot set "y.z")~"},
  };
  for (const Case& one : cases)
    EXPECT_EQ(input_error([&] { render(one.source); }), one.expected) << one.source;
}

TEST(Jinja, DeepNestingIsAnError) {
  std::string blocks;
  for (int i = 0; i < 100000; ++i) blocks += "{%if 1%}";
  EXPECT_EQ(input_error([&] { render(blocks); }), "T: blocks are nested too deep");
  const std::string open(100000, '(');
  EXPECT_TRUE(
      input_error([&] { render("{{" + open + "}}"); }).starts_with("T: nesting is too deep"));
  std::string nots;
  for (int i = 0; i < 100000; ++i) nots += "not ";
  EXPECT_TRUE(
      input_error([&] { render("{{" + nots + "}}"); }).starts_with("T: nesting is too deep"));
}

}  // namespace
}  // namespace caprl
