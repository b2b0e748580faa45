#ifndef HEAPSYNC_CLIENT_CLI_JSON_STRUCTURE_H_
#define HEAPSYNC_CLIENT_CLI_JSON_STRUCTURE_H_

#include <string>

namespace heapsync {

// Follows the structure of one JSON object or array byte by byte, to find its
// end. Lenient in what is between brackets, commas and colons, so that the end
// of an object is found even where a value is no JSON (NaN, 'text'): the parser
// judges that later.
class JsonStructure {
 public:
  enum class Verdict { kGoesOn, kComplete, kMalformed };

  // Takes the next byte; the first is a bracket or brace. kComplete: it is the
  // last one. kMalformed: no JSON goes on like this. Both are final.
  Verdict Add(char byte);

  // The same without a look at the order of tokens: never kMalformed. The end
  // of an object that is malformed.
  Verdict AddLeniently(char byte);

  // True if the last byte was within a string.
  bool in_string() const { return in_string_; }

 private:
  enum class Expected { kValue, kValueOrEnd, kKeyOrEnd, kColon, kCommaOrEnd };

  Verdict Token(char byte);
  Verdict BeginValue();
  Verdict Close(char opening);

  std::string open_;  // the brackets and braces around the place
  Expected expected_ = Expected::kValue;
  bool in_string_ = false;
  bool escaped_ = false;  // by a backslash before
  bool in_word_ = false;  // of a number, a literal, or what stands for one
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_JSON_STRUCTURE_H_
