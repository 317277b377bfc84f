"""Writes a file's bytes as a C function: text_to_c.py FUNCTION HEADER IN OUT."""
import sys

function, header, source, target = sys.argv[1:]
data = open(source, "rb").read()
with open(target, "w") as out:
    out.write(f'#include "{header}"\n\nstatic const unsigned char bytes[] = {{\n')
    for i in range(0, len(data), 16):
        out.write(" ".join(f"{b}," for b in data[i : i + 16]) + "\n")
    out.write(f"}};\n\nstruct sv {function}(void)\n{{\n    return sv_of(bytes, sizeof(bytes));\n}}\n")
