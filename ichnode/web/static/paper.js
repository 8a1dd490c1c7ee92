// The whole list lies ready for paper.
print();
