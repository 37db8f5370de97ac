"""The page of scripts/demo.py: what it shows, and what it answers.

page.py     the layout, and what happens on it
server.py   where it is served; these two alone know Gradio
answers.py  what the page asks for: a parse, the same with other settings, a layer, files
photos.py   what is taken as a photo, and what is refused
picture.py  a layer as HTML, with what the pointer says about it
pointer.js  names and scores under the pointer
style.css   how the picture and its tables look
"""
