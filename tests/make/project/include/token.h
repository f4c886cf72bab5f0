/* What the scanner finds. */
#ifndef TOKEN_H
#define TOKEN_H
enum token_kind { TOKEN_NUMBER, TOKEN_NAME, TOKEN_SIGN, TOKEN_END, TOKEN_BAD };
struct token { enum token_kind kind; long number; char name[32]; char sign; };
#endif
