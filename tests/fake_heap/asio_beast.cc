// Boost's own sources, compiled once instead of in every file that includes
// their headers.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
