// Writes random patterns with what RE2/J makes of them: `PATTERN ! DESCRIPTION` or `PATTERN BITS`, a bit for each of the names in the
// first line. In patterns and names, what is not printable ASCII, and the percent sign, is written as %CODEPOINT; (hexadecimal).
// Arguments: how many, and a seed.
import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;
import java.util.*;
import java.util.stream.Collectors;

public class Patterns {
    static final String[] NAMES = {"", "a", "b", "A", "ab", "abc", "aB", "aa", "aaa", "aab", "abab", "k", "K", "s", "z", "0", "1", "42", "a1",
        "_", "-", ".", "..", "a.b", "a-b", "a_b", "orders", "Orders", "orders.eu", "orders-1", "__consumer_offsets", "foo", "foobar", "x{2}",
        "{", "a{", "\n", "a\nb", " ", "\t", "a b", "*", "\\", "[", "]", "^", "$", ":", "\u0007", "\u000b", "~", "p", "L", "E", "Q", "aaaaaaaa"};
    // No ranges with the dotted I or the dotless i: with (?i), RE2/J never comes back from them.
    static final String[] PIECES = {"a", "b", "ab", "abc", "k", "s", "K", "orders", "foo", "1", "0", "_", "-", ".", ".", "\\.", ".*", ".*", ".+",
        "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}", "{0}", "{,2}", "{", "}", "{01}", "{1001}", "{3,2}", "{123456789}", "{a}", "{2,2}?",
        "{1", "{1,", "|", "|", "|", "(", "(", ")", ")", "()", "(?:", "(?i)", "(?i:", "(?-i)", "(?s)", "(?m)", "(?ms-i:", "(?U)", "(?-)", "(?x)", "(?", "(?P<n>",
        "(?<n>", "(?<m1>", "(?P<1>", "(?<>", "(?P=n)", "(?=", "(?!", "(?<=a", "(?-s-i)", "(?i-m)", "(?#", "^", "$", "\\A", "\\z", "\\Z", "\\b", "\\B", "\\C", "\\d", "\\D",
        "\\w", "\\W", "\\s", "\\S", "\\pN", "\\pL", "\\PL", "\\p{L}", "\\p{Lu}", "\\p{Ll}", "\\p{^L}", "\\P{^Lu}", "\\p{Greek}", "\\P{Greek}", "\\p{Latin}",
        "\\p{Any}", "\\p{Foo}", "\\p{", "\\p", "\\pX", "\\p{}", "\\p{IsL}", "\\p{Common}", "\\Q", "\\E", "\\Qa.b\\E", "\\Q*", "\\x41", "\\x{62}", "\\x4", "\\x{}", "\\x{110000}", "\\x{d800}",
        "\\x", "\\x{", "\\1", "\\12", "\\141", "\\0", "\\07", "\\8", "\\a", "\\f", "\\n", "\\r", "\\t", "\\v", "\\e", "\\c", "\\h", "\\R", "\\k<n>", "\\-", "\\_", "\\{", "\\\\", "\\",
        "[a]", "[ab]", "[^a]", "[a-z]", "[^a-z]", "[A-Z0-9]", "[z-a]", "[]", "[]a]", "[^]a]", "[-a]", "[a-]", "[a-\\d]", "[\\d-z]", "[\\w.]", "[^\\W]", "[\\pL]",
        "[^\\p{Lu}_]", "[\\p{Foo}]", "[[:alpha:]]", "[[:^digit:]]", "[^[:word:].]", "[[:foo:]]", "[[:a]", "[[a]", "[a[b]", "[a&&b]", "[a~~b]", "[a--b]", "[\\b]", "[\\Q]", "[\\]]", "[\\x41-\\x{5a}]",
        "[\\141-c]", "[", "[^", "[a", "[a-", "[\\", "[[:", ":]", "]", "^*", "$?", "\\b+", "\u00e9", "\u212a", "\u017f", "\ud83d\ude00", "[^\u00e9]", "[^\u212a]", "[\u2120-\u2130]", "[Z-z\u017f]", " ", "\n", "%", "#", "&", "~", ",", ":", "/"};

    static String escape(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints().forEach(c -> {
            if (c > ' ' && c < 127 && c != '%') out.appendCodePoint(c); else out.append('%').append(Integer.toHexString(c)).append(';');
        });
        return out.toString();
    }

    public static void main(String[] args) {
        Random random = new Random(Long.parseLong(args[1]));
        System.out.println("# By generate/Patterns.java, with RE2/J 1.8.");
        System.out.println("names " + Arrays.stream(NAMES).map(Patterns::escape).collect(Collectors.joining(" ")));
        Set<String> patterns = new LinkedHashSet<>(Arrays.asList(PIECES));
        while (patterns.size() < Integer.parseInt(args[0])) {
            StringBuilder pattern = new StringBuilder();
            int length = 1 + random.nextInt(6), open = 0;
            for (int n = 0; n < length; n++) {
                // Most of the pieces are of the harmless beginning of the list; brackets are mostly closed.
                int dice = random.nextInt(10);
                String piece = PIECES[random.nextInt(dice < 5 ? 19 : dice < 7 ? 32 : PIECES.length)];
                if (piece.startsWith("(") && piece.endsWith(":") || piece.equals("(")) open++;
                pattern.append(piece);
                if (open > 0 && random.nextInt(3) == 0) { pattern.append(')'); open--; }
            }
            while (open-- > 0 && random.nextInt(8) != 0) pattern.append(')');
            patterns.add(pattern.toString());
        }
        StringBuilder out = new StringBuilder();
        for (String text : patterns) {
            out.append(escape(text)).append(' ');
            try {
                Pattern pattern = Pattern.compile(text);
                for (int n = 0; n < NAMES.length; n += 4) {
                    int digit = 0;
                    for (int k = n; k < Math.min(n + 4, NAMES.length); k++) if (pattern.matcher(NAMES[k]).matches()) digit |= 1 << (k - n);
                    out.append(Integer.toHexString(digit));
                }
            } catch (PatternSyntaxException e) {
                out.append("! ").append(e.getDescription());
            } catch (RuntimeException e) {
                out.append("!! ").append(e);
            }
            out.append('\n');
        }
        System.out.print(out);
    }
}
