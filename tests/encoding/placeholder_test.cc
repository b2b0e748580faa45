#include "heap_adapter/encoding/placeholder.h"

#include <string>

#include "gtest/gtest.h"
#include "heap_adapter/encoding/unicode_text.h"

namespace heapsync {
namespace {

using std::string_literals::operator""s;

NameQuality Judge(const std::string& text, const EncodingRules& rules = {}) {
  return JudgeName(text, rules);
}

TEST(PlaceholderTest, TextsThatShowNothingAreBlank) {
  for (const char* blank : {"",
                            " ",
                            "   ",
                            "\t\n",
                            "\u00a0",
                            "\u200b",
                            "\ufeff",
                            "\u2060",
                            "\u3000",
                            "\u00ad",
                            "\u1680",
                            "\u2003 \u2009",
                            "\u202f",
                            "\u180e",
                            "\u2028",
                            "\u0085",
                            "\u3164",
                            "\u2800",
                            "\U000e0020",
                            "\u200e\u200f",
                            " \u200b \ufeff "}) {
    EXPECT_EQ(Judge(blank), NameQuality::kBlank) << '[' << blank << ']';
    EXPECT_TRUE(IsBlank(blank)) << '[' << blank << ']';
  }
  EXPECT_EQ(Judge("\0\0"s), NameQuality::kBlank);
}

TEST(PlaceholderTest, SeesTextsThatMeanNone) {
  for (const char* text :
       {// The same word in any case, with anything around it.
        "null", "NULL", "Null", "(null)", "[null]", "<null>", "{null}",
        "\"null\"", "'null'", "`null`", "\"null \"", " ( NULL ) ", "[[null]]",
        "<<null>>", "\"null", "null\"", "\\\"null\\\"", "“null”", "«null»",
        "null.", "null;", "null,", "-null-", "--None--", "*none*", "_none_",
        "\ufeffnull", "nu\u200bll", "null\u00a0",
        // Exports of databases, spreadsheets and programs.
        "undefined", "nil", "<nil>", "none", "NaN", "-nan", "-NaN(ind)", "N/A",
        "n.a.", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaT", "\\N",
        "[object "
        "Object]",
        "[object Undefined]", "System.DBNull", "1.#QNAN", "-1.#IND", "#REF!",
        "#VALUE!", "#DIV/0!", "#NAME?", "(blank)",
        // No person.
        "(not set)", "not-set", "not_set", "Not Available", "anonymous",
        "Anonymous User", "anonymous_user", "guest", "guest-user", "unknown",
        "not_authenticated", "Unknown User", "null null", "undefined_undefined",
        "[deleted]", "test", "true", "False",
        // Names of fields.
        "user", "user_id", "userId", "User ID", "id", "_id", "email", "E-Mail",
        "identity", "distinct_id", "account_id",
        // Numbers that stand for nothing.
        "0", "-0", "+0", "0.0", "0,00", "000", "0x0", "-1", "-1.0", "\u22121",
        "00000000-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
        "{00000000-0000-0000-0000-000000000000}", "00:00:00:00:00:00",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
        // Nothing but punctuation.
        "-", "--", "?", "????", "...", "*", "[]", "{}", "<>", "()", "\"\"",
        "''", "\"\"\"\"", "[ ]", "—", "…", "\ufffd\ufffd", "/",
        // Templates that nothing filled.
        "{{user.id}}", "{{ user.id }}", "user-{{id}}", "${user_id}", "$user_id",
        "%{id}", "<%= id %>", "{% id %}", "#{id}", "{id}", "<id>", "[id]",
        "{user.id}", "{userId}", "%USER_ID%", "%%email%%", "*|EMAIL|*",
        "[[email]]", "{{{id}}}", ":user_id", "$(id)", "{0}", "%s", "%d", "%1$s",
        "%@", "%!s(<nil>)", "%!d(string=x)", "__USER_ID__", "{!Contact.Id}",
        "acme-${tenant}-prod",
        // What other tools were sent.
        "d41d8cd98f00b204e9800998ecf8427e",
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b",
        "lmy47d", "9774D56D682E549C", "undefined@undefined", "null@null.com",
        "None@none.none", "test@test.com", "N\\A", "ＮＵＬＬ", "ｎ／ａ",
        "null/null", "unknown account", "nobody", "visitor"}) {
    EXPECT_EQ(Judge(text), NameQuality::kPlaceholder) << text;
  }
  EXPECT_EQ(Judge(std::string(200, '0') + "x{{user.id}}"),
            NameQuality::kPlaceholder);
  EXPECT_EQ(Judge(std::string(200, '-')), NameQuality::kPlaceholder);
}

TEST(PlaceholderTest, SeesFunctionsAndObjectsThatAreNoText) {
  for (const char* text :
       {"[object Promise]", "[object HTMLInputElement]", "[Function: id]",
        "[Function (anonymous)]", "function () { return id; }",
        "function id() { [native code] }", "() => user.id",
        "<built-in function id>", "<bound method User.id of <User 7>>",
        "<__main__.User object at 0x7f8b1c0d2e50>",
        "<function get_id at 0x7f8b1c0d2e50>", "<class 'NoneType'>",
        "Optional.empty",
        "<bound method User.get_id of <app.models.User object at "
        "0x7f8b1c0>>"}) {
    EXPECT_EQ(Judge(text), NameQuality::kPlaceholder) << text;
  }
  for (const char* text : {"function", "function7", "[objective]", "at 0x7"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
}

TEST(PlaceholderTest, LeavesRealNamesAlone) {
  for (const char* text : {"ada@example.com",
                           "User@Example.COM",
                           "ada+test@example.com",
                           "u123",
                           "123",
                           "1",
                           "10",
                           "007",
                           "100",
                           "0001",
                           "-17",
                           "1.5",
                           "1.10",
                           "acme-corp",
                           "acme corp",
                           "nullable",
                           "undefined-7",
                           "user-7",
                           "user7",
                           "test-0",
                           "annul",
                           "nancy",
                           "Guestrow",
                           "t.rue",
                           "n.one",
                           "a.non",
                           "Größe",
                           "ада",
                           "山田",
                           "😀",
                           "o'neil",
                           "nilsson",
                           "Ms. None-Such",
                           "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
                           "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}",
                           "11111111-1111-1111-1111-111111111111",
                           "123e4567",
                           "12e4",
                           "123e45",
                           "00e12345-0000-0000-0000-000000000000",
                           "a0",
                           "0a",
                           "1.2.3",
                           "e5",
                           "100%",
                           "50% off",
                           "a{b",
                           "a}b{c",
                           "user/7",
                           "\\Name",
                           "Name\\",
                           "http://example.com/users/7",
                           "auth0|5f7c8ec7c33c6c004bbafe82",
                           "acme:nullable",
                           "urn:user:7",
                           "test@example.com",
                           "ada@null.example",
                           "'ada",
                           "o'neil's",
                           "ada\u00a0lovelace",
                           "ok\xff",
                           "[ada 7]"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
}

TEST(PlaceholderTest, SeesNumbersThatLostTheirDigits) {
  for (const char* text :
       {"1.23457E+11", "1.23457e+11", "1,23457E+11", "1E+11", "1e25", "1E5",
        "1.0E10", "-1.5E-7", "1.2345678901234567E+25", "\"1.23457E+11\"",
        " 1.23457E+11"}) {
    EXPECT_EQ(Judge(text), NameQuality::kMangled) << text;
  }
}

TEST(PlaceholderTest, DoubtsWhatAProgramMayHaveChanged) {
  for (const char* text : {"123.0", "123.00", "123,0", "-7.0", "1.0"}) {
    EXPECT_EQ(Judge(text), NameQuality::kFraction) << text;
  }
  for (const char* text : {"479386071891505000", "12940304724278300",
                           "1294030472427830000", "-479386071891505000"}) {
    EXPECT_EQ(Judge(text), NameQuality::kRounded) << text;
  }
  for (const char* text : {"479386071891505153", "4793860718915050",
                           "479386071891500001", "479386071891505000a"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
  for (const char* text :
       {"ada\u200b@example.com", "ada\u00ad7", "ada\u200elovelace",
        "a\ufeffda@example.com", "\u202aada\u202c7"}) {
    EXPECT_EQ(Judge(text),
              text[0] == 'a' ? NameQuality::kInvisible : NameQuality::kPadded)
        << text;
  }
  for (const char* text :
       {"['7']", "{'id': 7}", "{\"id\":7}", "{id=7}", "UUID('7')",
        "bson.ObjectId(\"7\")", "Decimal('12')", "Optional[ada]", "Some(7)",
        "b'ada'", "u\"ada\"", "mailto:ada@example.com", "Ada <ada@example.com>",
        "ada%40example.com", "ada&#64;example.com", "a&amp;b",
        "ada@example.com;bob@example.com", "ada@example.com,bob@example.com"}) {
    EXPECT_EQ(Judge(text), NameQuality::kWrapped) << text;
  }
  for (const char* text :
       {"ada (work)", "acme[7]", "b'ada", "f(x)", "ada@example.com@idp",
        "100%4", "a&b", "x=7", "(7)"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
  // A joiner within a word and within a symbol.
  for (const char* text :
       {"\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f4bb"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
  for (const char* text : {" ada@example.com", "ada@example.com ",
                           "\ufeffada@example.com", "ada@example.com\u200b"}) {
    EXPECT_EQ(Judge(text), NameQuality::kPadded) << text;
  }
  for (const char* text :
       {"{customer}", "<customer>", "%CUSTOMER%", "$customer"}) {
    EXPECT_EQ(Judge(text), NameQuality::kTemplateWord) << text;
  }
  for (const char* text :
       {"'ada@example.com'", "\"u7\"", "`u7`", "=\"00123\"", "'00123",
        "'+4917012345", "'@ada", " 'ada lovelace' ", "\u201cada\u201d",
        "\u2018u7\u2019", "\u201eada\u201c", "\u00abada\u00bb"}) {
    EXPECT_EQ(Judge(text), NameQuality::kQuoted) << text;
  }
  for (const char* text :
       {"undefined@example.com", "NULL@gmail.com", "acme:null",
        "customer:undefined", "undefined|7", "auth0|undefined", "org#nan"}) {
    EXPECT_EQ(Judge(text), NameQuality::kPartlyNone) << text;
  }
  for (const char* text :
       {"system", "System", "ADMIN", "<root>", "no-reply", "noreply",
        "No-Reply@example.com", "do_not_reply@example.com",
        "MAILER-DAEMON@mx.example.com", "bot", "demo"}) {
    EXPECT_EQ(Judge(text), NameQuality::kSharedAccount) << text;
  }
  for (const char* text :
       {"admin7", "administrators", "root-7", "admin@example.com",
        "demo@example.com", "noreply7@example.com", "dennis@example.com",
        "maria.post@example.com", "rootbeer"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
  EXPECT_EQ(Judge("admin", {.allowed_identities = {"admin"}}),
            NameQuality::kGood);
}

TEST(PlaceholderTest, PointsBetweenNoValuesMakeNone) {
  for (const char* text : {"null.null", "undefined.undefined", "NULL.nil"}) {
    EXPECT_EQ(Judge(text), NameQuality::kPlaceholder) << text;
  }
  for (const char* text : {"acme.null", "ada.none", "none.such"}) {
    EXPECT_EQ(Judge(text), NameQuality::kGood) << text;
  }
}

TEST(PlaceholderTest, SeesControlCharacters) {
  for (const std::string& text :
       {"a\0b"s, "\0ada"s, "ada\n"s, "a\tb"s, "a\x7f"s, "a\u0080b"s, "a\u009f"s,
        "\x1b[31mada"s}) {
    EXPECT_EQ(Judge(text), NameQuality::kControlCharacter);
    EXPECT_TRUE(HasControlCharacter(text));
  }
  EXPECT_FALSE(HasControlCharacter("Größe €\u00a0😀\xc2"));
}

TEST(PlaceholderTest, ADestinationAddsNamesAndExceptions) {
  const EncodingRules rules = {
      .denied_identities = {FoldName("Nobody"), FoldName("[N. N.]"),
                            FoldName("noreply@example.com")},
      .allowed_identities = {FoldName("TEST"), FoldName("0"), FoldName("--"),
                             FoldName("user_id"), FoldName("1E5")}};
  for (const char* denied : {"nobody", "NOBODY", "<nobody>", "\"nobody \"",
                             "n. n.", "NoReply@example.com"}) {
    EXPECT_EQ(Judge(denied, rules), NameQuality::kPlaceholder) << denied;
  }
  for (const char* allowed :
       {"test", "Test", "[test]", "0", "--", "user_id", "1e5", "ada"}) {
    EXPECT_EQ(Judge(allowed, rules), NameQuality::kGood) << allowed;
  }
  for (const char* other : {"null", "0.0", "-1", "---", "{{user_id}}x"}) {
    EXPECT_EQ(Judge(other, rules), NameQuality::kPlaceholder) << other;
  }
}

TEST(PlaceholderTest, FoldsWhatMakesNoDifference) {
  EXPECT_EQ(FoldName(" \"<NULL>\" "), "null");
  EXPECT_EQ(FoldName("nu\u200bll\ufeff"), "null");
  EXPECT_EQ(FoldName("a\u00a0b"), "a b");
  EXPECT_EQ(FoldName("Größe"), "größe");
  EXPECT_EQ(FoldName("[]"), "[]");
  EXPECT_EQ(FoldName(" \u3000"), "");
}

}  // namespace
}  // namespace heapsync
